"""Reads files of weights: safetensors files, and .pth files of PyTorch."""

from functools import partial
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from pix2pix_jax.config.files import parse_json_config
from pix2pix_jax.config.validation_errors import Language, first_error
from pix2pix_jax.errors import UsageError, prefix_errors
from pix2pix_jax.gan.networks import NetworkName
from pix2pix_jax.interop.parametrizations import compute_parametrized_weights
from pix2pix_jax.interop.pytorch.names import transposed_layers
from pix2pix_jax.interop.pytorch.reader import read_pth
from pix2pix_jax.interop.state_dicts import Part, choose_part
from pix2pix_jax.interop.weight_file import WeightFile
from pix2pix_jax.suggestions import similar_path


def read_weights(path: Path, network: NetworkName) -> WeightFile:
    """Reads the weights of a network from a file.

    Args:
      path: a .pth or .safetensors file of the PyTorch code, or a .safetensors file of `export`. A
        colon and a place may follow, which names one of several networks in the file.
      network: the network that the file should contain.

    Raises:
      UsageError: the file does not exist, cannot be read, or does not contain the network.
    """
    path, place = split_place(path)
    if path.is_dir():
        raise UsageError(f"{path}: is a folder", "give a file of weights, .pth or .safetensors")
    if not path.is_file():
        similar = similar_path(path)
        fix = "give a file of weights, .pth or .safetensors"
        raise UsageError(f"{path}: not found", f"did you mean {similar}?" if similar else fix)
    is_safetensors = path.suffix.lower() == ".safetensors" or _begins_as_safetensors(path)
    return (read_safetensors if is_safetensors else read_torch)(path, network, place)


def split_place(path: Path) -> tuple[Path, str]:
    """Splits FILE:PLACE into the path of the file and the place, which is "" for FILE alone."""
    name, colon, place = path.name.partition(":")
    if path.exists() or not colon:
        return path, ""
    return path.with_name(name), place


def _begins_as_safetensors(path: Path) -> bool:
    """Whether a file with another suffix begins with the header of a safetensors file."""
    with path.open("rb") as file:
        return file.read(10)[8:] == b'{"'


def read_torch(path: Path, network: NetworkName, place: str = "") -> WeightFile:
    """Reads a .pth file, whatever its suffix.

    Args:
      path: the path of the file.
      network: the network that the file should contain.
      place: the place of the network in the file; empty: its only place.

    Raises:
      UsageError: the file is of another kind, or does not contain the network.
    """
    choose = partial(choose_part, network=network, wanted=place)
    return _make_weight_file(path, network, read_pth(path, choose))


def _make_weight_file(path: Path, network: NetworkName, part: Part) -> WeightFile:
    """Makes the WeightFile of a part, and computes the weights of its parametrizations."""
    transposed = transposed_layers() if network == "generator" else set()
    with prefix_errors(path):
        tensors, notes = compute_parametrized_weights(part.tensors, transposed)
    has_scales = any(
        name.endswith(".weight") and value.ndim == 1 for name, value in tensors.items()
    )
    if has_scales and not any(name.endswith(".running_mean") for name in tensors):
        notes.append(
            f"the norms of the {network} in {path} have no running averages, so they are not plain "
            "batch norms; if they are group norms, the outputs differ from those of PyTorch"
        )
    if part.place != ".":
        notes.insert(0, f"the {network} is at {part.place} in {path}")
    return WeightFile(path, network, tensors, None, tuple(notes), part.discriminators)


def read_safetensors(path: Path, network: NetworkName, place: str = "") -> WeightFile:
    """Reads a safetensors file, whatever its suffix.

    Args:
      path: the path of the file.
      network: the network that the file should contain.
      place: the place of the network in a file of the PyTorch code; empty: its only place.

    Raises:
      UsageError: the file is not a safetensors file, has a config that this version cannot read, or
        contains another network.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            # The call of `keys` is needed, because the file itself cannot be iterated.
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UsageError(
            f"{path}: cannot be read as a safetensors file", "export or download the file again"
        ) from error
    # safetensors raises AttributeError and TypeError for dtypes that NumPy does not have.
    except (AttributeError, TypeError) as error:
        raise UsageError(
            f"{path}: has tensors of a type that NumPy lacks, such as float8",
            "save the tensors as float32",
        ) from error
    config = None
    if text := metadata.get("config"):
        try:
            config = parse_json_config(text)
        except ValidationError as error:
            reason = first_error(error, Language.JSON).problem
            raise UsageError(
                f"{path}: has a config that this version cannot read ({reason})",
                "export the file again with this version",
            ) from error
    content = metadata.get("network", network)
    if content != network:
        raise UsageError(f"{path}: contains a {content}", f"give the file of the {network}")
    if config is not None:
        return WeightFile(path, network, tensors, config)
    with prefix_errors(path):
        part = choose_part({"": tensors}, network, place)
    return _make_weight_file(path, network, part)
