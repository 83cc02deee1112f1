"""Reads PyTorch's .pth files as arrays, without PyTorch; `pickles` loads their pickles."""

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pix2pix_jax.errors import UsageError, prefix_errors
from pix2pix_jax.interop.pytorch.file_kinds import describe_archive, describe_beginning
from pix2pix_jax.interop.pytorch.pickles import MAX_PICKLE_BYTES, Tensor, load_pickle
from pix2pix_jax.interop.state_dicts import Part, StateDict, find_state_dicts

# A file that PyTorch before 1.6 wrote begins with two pickles that contain these two numbers.
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
ZIP_SIGNATURE = b"PK\x03\x04"
TOO_LARGE = (
    "is damaged or cut short: its tensors are larger than their storages",
    "download the file again",
)
Choose = Callable[[dict[str, StateDict]], Part]  # chooses a part of the state dicts in a file


def read_pth(path: Path, choose: Choose) -> Part:
    """Reads the tensors of one network.

    Args:
      path: a file that any version of `torch.save` wrote.
      choose: a function of all state dicts in the file, by their place; it returns the part with
        the tensors to read.

    Returns:
      The part, with copies of the tensors as arrays.

    Raises:
      UsageError: the file has no such network, is damaged, or does not fit into the memory; the
        message says what the file seems to be.
    """
    try:
        with prefix_errors(path):
            part, storages = _read_part(path, choose)
            return replace(part, tensors=_make_arrays(part.tensors, storages))
    except MemoryError as error:
        raise UsageError(
            f"{path}: is too large for the memory of this machine",
            "use a machine with more memory, or, if the file should be small, download the file "
            "again",
        ) from error


def _read_part(path: Path, choose: Choose) -> tuple[Part, dict[str, bytes]]:
    """Reads a part and its storages, and explains the errors of the modules that parse a file."""
    try:
        with path.open("rb") as file:
            is_zip = file.read(len(ZIP_SIGNATURE)) == ZIP_SIGNATURE
            file.seek(0)
            return _read_zip(file, choose) if is_zip else _read_legacy(file, choose)
    except (UsageError, MemoryError):
        raise
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.filename:  # the error names the file
            raise
        raise UsageError("is damaged or cut short", "download the file again") from error
    except Exception as error:  # pickle and zipfile can raise any error for broken bytes
        raise UsageError(
            f"is not a state dict that torch.save wrote ({_describe_error(error):.200})",
            "save a network with torch.save(net.state_dict(), FILE)",
        ) from error


def _describe_error(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _read_zip(file: io.BufferedReader, choose: Choose) -> tuple[Part, dict[str, bytes]]:
    """Reads the format of PyTorch 1.6 and newer: a zip archive with a file for each storage."""
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UsageError(*describe_archive(archive.namelist()))
        root = pickles[0].removesuffix("data.pkl")
        byteorder = f"{root}byteorder"
        if byteorder in archive.namelist() and _read_member(archive, byteorder) != b"little":
            raise UsageError(
                "was written by a big-endian machine, which is not supported",
                "save the state dict again on a little-endian machine, such as a PC",
            )
        content = load_pickle(io.BytesIO(_read_member(archive, pickles[0], MAX_PICKLE_BYTES)))
        part = choose(find_state_dicts(content.content))
        members = {key: f"{root}data/{key}" for key in _storage_keys(part)}
        # The members of a malicious archive can overlap. The sum of their sizes is then larger than
        # the file.
        size = sum(archive.getinfo(member).file_size for member in members.values())
        if size > file.seek(0, io.SEEK_END):
            raise UsageError(*TOO_LARGE)
        return part, {key: _read_member(archive, member) for key, member in members.items()}


def _storage_keys(part: Part) -> set[str]:
    """The keys of the storages that a part needs."""
    return {tensor.storage.key for tensor in part.tensors.values()}


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
            f"{name.rpartition('/')[2]} inside the file is {problem}",
            "save the state dict again with torch.save",
        )
    return archive.read(info)


def _read_legacy(file: io.BufferedReader, choose: Choose) -> tuple[Part, dict[str, bytes]]:
    """Reads the format before PyTorch 1.6: pickles, then the storages one after the other."""
    start = file.peek(512)[:512]
    try:
        numbers = [load_pickle(file).content, load_pickle(file).content]
    except Exception:  # Loading a file of another format can raise any error.
        numbers = []
    if numbers != [MAGIC, PROTOCOL]:
        raise UsageError(*describe_beginning(start))
    load_pickle(file)  # skips a description of the machine that wrote the file
    content, keys = load_pickle(file), load_pickle(file).content
    part = choose(find_state_dicts(content.content))
    needed, storages = _storage_keys(part), {}
    for key in keys:
        num_bytes = int.from_bytes(file.read(8), "little", signed=True)
        num_bytes *= content.dtypes[key].itemsize
        if num_bytes < 0:
            raise UsageError(*TOO_LARGE)
        if key in needed:
            storages[key] = file.read(num_bytes)
        else:
            file.seek(num_bytes, io.SEEK_CUR)
    return part, {key: storages[key] for key in needed}


def _make_arrays(tensors: StateDict, storages: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Copies tensors out of their storages.

    Raises:
      UsageError: a tensor is not inside its storage, or so many tensors share storages that their
        copies would need more than twice the memory of the storages.
    """
    size = sum(math.prod(t.shape) * t.storage.dtype.itemsize for t in tensors.values())
    if size > 2 * sum(map(len, storages.values())):
        raise UsageError(*TOO_LARGE)
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
        raise UsageError(*TOO_LARGE)
    strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides).copy()
