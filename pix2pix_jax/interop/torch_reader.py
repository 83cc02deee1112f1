"""Reads PyTorch's .pth files as arrays, without PyTorch; `torch_pickle` loads their pickles."""

import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pix2pix_jax.errors import UsageError
from pix2pix_jax.interop.torch_pickle import MAX_PICKLE_BYTES, Tensor, load_pickle

# A file that PyTorch before 1.6 wrote begins with two pickles that contain these two numbers.
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
ZIP_SIGNATURE = b"PK\x03\x04"
Content = tuple[dict[str, Tensor], dict[str, bytes]]  # tensors by name, and storages by key
TOO_LARGE = (
    "is damaged or cut short: its tensors are larger than their storages; download the file again"
)


def read_pth(path: Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a state dict.

    Args:
      path: a file that any version of `torch.save` wrote.

    Returns:
      Copies of the tensors, by name.

    Raises:
      UsageError: the file is not a state dict, is damaged, or does not fit into the memory; the
        message says what the file seems to be.
    """
    try:
        tensors, storages = _read_content(path)
        return _make_arrays(tensors, storages)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except MemoryError as error:
        raise UsageError(
            f"{path}: is too large for the memory of this machine; use a machine with more memory, "
            "or, if the file should be small, download the file again"
        ) from error


def _read_content(path: Path) -> Content:
    """Reads a file of either format, and explains the errors of the modules that parse it."""
    try:
        with path.open("rb") as file:
            is_zip = file.read(len(ZIP_SIGNATURE)) == ZIP_SIGNATURE
            file.seek(0)
            return _read_zip(file) if is_zip else _read_legacy(file)
    except (UsageError, MemoryError):
        raise
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.filename:  # the error names the file
            raise
        raise UsageError("is damaged or cut short; download the file again") from error
    except Exception as error:  # pickle and zipfile can raise any error for broken bytes
        raise UsageError(
            f"is not a state dict that torch.save wrote ({_describe_error(error):.200}); save a "
            "network with torch.save(net.state_dict(), FILE)"
        ) from error


def _describe_error(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _read_zip(file: io.BufferedReader) -> Content:
    """Reads the format of PyTorch 1.6 and newer: a zip archive with a file for each storage."""
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UsageError(
                f"is a zip file with {', '.join(archive.namelist())[:80]}, not a .pth file; if it "
                "contains a .pth file, unpack it and give the path of the .pth file"
            )
        root = pickles[0].removesuffix("data.pkl")
        byteorder = f"{root}byteorder"
        if byteorder in archive.namelist() and _read_member(archive, byteorder) != b"little":
            raise UsageError(
                "was written by a big-endian machine, which is not supported; save the state "
                "dict again on a little-endian machine, such as a PC"
            )
        content = _read_member(archive, pickles[0], MAX_PICKLE_BYTES)
        tensors = _check_state_dict(load_pickle(io.BytesIO(content)))
        members = {
            tensor.storage.key: f"{root}data/{tensor.storage.key}" for tensor in tensors.values()
        }
        # The members of a malicious archive can overlap. The sum of their sizes is then larger than
        # the file.
        size = sum(archive.getinfo(member).file_size for member in members.values())
        if size > file.seek(0, io.SEEK_END):
            raise UsageError(TOO_LARGE)
        return tensors, {key: _read_member(archive, member) for key, member in members.items()}


def _read_member(archive: zipfile.ZipFile, name: str, max_bytes: int | None = None) -> bytes:
    """Reads a member of an archive; raises UsageError if it could be a zip bomb.

    Args:
      archive: the archive.
      name: the name of the member.
      max_bytes: the largest size; None: any size.
    """
    info = archive.getinfo(name)
    is_large = max_bytes is not None and info.file_size > max_bytes
    if is_large or info.compress_type != zipfile.ZIP_STORED:
        problem = "too large for a .pth file" if is_large else "compressed"
        raise UsageError(
            f"{name.rpartition('/')[2]} inside the file is {problem}; save the state dict again "
            "with torch.save"
        )
    return archive.read(info)


def _read_legacy(file: io.BufferedReader) -> Content:
    """Reads the format before PyTorch 1.6: pickles, then the storages one after the other."""
    start = file.peek(16)[:16]
    try:
        is_legacy = [load_pickle(file), load_pickle(file)] == [MAGIC, PROTOCOL]
    except Exception:  # Loading a file of another format can raise any error.
        is_legacy = False
    if not start:
        raise UsageError("is empty, not a .pth file of PyTorch; download the file again")
    if not is_legacy:
        raise UsageError(
            f"is not a .pth file of PyTorch: it begins with {start!r}; give a .pth or .safetensors "
            "file"
        )
    load_pickle(file)  # skips a description of the machine that wrote the file
    tensors, keys = _check_state_dict(load_pickle(file)), load_pickle(file)
    item_sizes = {tensor.storage.key: tensor.storage.dtype.itemsize for tensor in tensors.values()}
    storages = {}
    for key in keys:
        num_bytes = int.from_bytes(file.read(8), "little", signed=True) * item_sizes[key]
        if num_bytes < 0:
            raise UsageError(TOO_LARGE)
        storages[key] = file.read(num_bytes)
    return tensors, {key: storages[key] for key in item_sizes}


def _check_state_dict(content: Any) -> dict[str, Tensor]:
    """Returns the content if it is a state dict; raises UsageError with a description if not."""
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise UsageError(f"contains a {kind}, not a state dict; save only net.state_dict()")
    if not content:
        raise UsageError("contains an empty state dict; save net.state_dict() of a whole network")
    if _is_state_dict(content):
        return content
    names = ", ".join(map(str, content))
    inner = next((name for name, value in content.items() if _is_state_dict(value)), None)
    fix = (
        "save only net.state_dict()"
        if inner is None
        else f"save only one state dict: torch.save(torch.load(FILE)[{inner!r:.40}], NEW_FILE)"
    )
    raise UsageError(f"contains a dict with the keys {names:.80}, not a state dict; {fix}")


def _is_state_dict(content: Any) -> bool:
    if not isinstance(content, dict) or not content:
        return False
    return all(isinstance(n, str) and isinstance(value, Tensor) for n, value in content.items())


def _make_arrays(tensors: dict[str, Tensor], storages: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Copies tensors out of their storages.

    Raises:
      UsageError: a tensor is not inside its storage, or so many tensors share storages that their
        copies would need more than twice the memory of the storages.
    """
    size = sum(math.prod(t.shape) * t.storage.dtype.itemsize for t in tensors.values())
    if size > 2 * sum(map(len, storages.values())):
        raise UsageError(TOO_LARGE)
    return {
        name: _make_array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()
    }


def _make_array(tensor: Tensor, storage: bytes) -> np.ndarray:
    """Copies a tensor out of its storage; raises UsageError if the tensor is not inside it."""
    dtype = tensor.storage.dtype
    # A file that was cut short can end inside a number.
    flat = np.frombuffer(storage, dtype, len(storage) // dtype.itemsize)
    steps = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((side - 1) * stride for side, stride in steps)
    has_negative = min((tensor.offset, *tensor.shape, *tensor.strides)) < 0
    size = math.prod(tensor.shape)
    # With a stride of 0, a tensor of any size would fit into a small storage.
    if has_negative or size > len(flat) or (size and last >= len(flat)):
        raise UsageError(TOO_LARGE)
    strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides).copy()
