"""PyTorch's .pth files as arrays, without PyTorch: nothing that stands in one is run.

A .pth is a pickle, which can call any function that it names. Here it can name none but those
that put tensors together, and what these do is done by numpy.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from pix2pix_jax.errors import UsageError

STORAGES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of files before PyTorch 1.6
LARGER = "is damaged or cut short: tensors in it are larger than their storage; fetch it again"
MOST = 1 << 22  # bytes of a pickle, which names tensors and does not hold them
UNKNOWN = set(  # opcodes that make what no state dict is made of
    pickle.EMPTY_SET + pickle.FROZENSET + pickle.ADDITEMS + pickle.DICT + pickle.INST + pickle.OBJ
    + pickle.NEWOBJ + pickle.NEWOBJ_EX + pickle.EXT1 + pickle.EXT2 + pickle.EXT4 + pickle.PERSID
    + pickle.BYTEARRAY8 + pickle.NEXT_BUFFER + pickle.READONLY_BUFFER
)  # fmt: skip
MOST_AXES, LONGEST = 8, 1 << 48  # of a tensor, and numbers along one of its axes


class Storage(NamedTuple):
    """A run of numbers in a file."""

    key: str
    dtype: np.dtype


class Tensor(NamedTuple):
    """Where a tensor lies: steps through a storage, all counted in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Unpickler(pickle._Unpickler):
    """Knows tensors and dicts, and calls nothing else.

    It is Python's own in Python, as the one in C reserves whatever memory a file asks for. Keys
    are names or numbers: to hash a tuple that stands twice in one which stands twice in another,
    and so on, takes for ever.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Of what a pickle names; raises UnpicklingError for what could do more."""
        if (module, name) == ("collections", "OrderedDict"):
            return lambda: OrderedDict()  # with nothing in it, which would be hashed
        if module == "torch" and name in STORAGES:
            return name  # and no type, which a pickle could change
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: _tensor(*arguments)  # which a pickle may change
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        raise pickle.UnpicklingError(f"a whole {module}.{name} in it, not only tensors")

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that a tensor lies in."""
        kind, name, key, *_ = pid
        if any(type(part) is not str for part in (kind, name, key)) or kind != "storage":
            raise pickle.UnpicklingError("something else than a storage in it")
        return Storage(key, np.dtype(STORAGES[name]))

    def load_setitem(self) -> None:
        """One key and its value."""
        _check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        """Many, above a mark."""
        _check_keys(self.stack[::2])
        super().load_setitems()

    dispatch = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code not in UNKNOWN
    }
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems


def _check_keys(keys: list[Any]) -> None:
    if any(type(key) not in (str, int) for key in keys):
        raise pickle.UnpicklingError("a dict by something else than names in it")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if type(storage) is not Storage:
        raise pickle.UnpicklingError("a tensor without a storage in it")
    numbers = (offset, *shape, *strides)
    if len(shape) > MOST_AXES or any(type(n) is not int or abs(n) > LONGEST for n in numbers):
        raise pickle.UnpicklingError("a tensor of no size in it")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _unpickle(file: BinaryIO) -> Any:
    """What a pickle holds, of which the file is read to the end."""
    start = file.tell()
    content = io.BytesIO(file.read(MOST))
    value = Unpickler(content).load()
    file.seek(start + content.tell())
    return value


def read_pth(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict, by name.

    Raises:
      UsageError: saying what the file holds instead.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            read = _read_zip if start == b"PK\x03\x04" else _read_legacy
            return read(file)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except MemoryError as error:
        raise UsageError(f"{path}: asks for more memory than there is; fetch it again") from error
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.filename:  # it cannot even be opened
            raise
        raise UsageError(f"{path}: is damaged or cut short ({error}); fetch it again") from error
    except Exception as error:  # what a broken pickle raises is anything
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UsageError(
            f"{path}: is not a state dict that torch.save wrote ({reason:.200}); save one by "
            "torch.save(net.state_dict(), FILE)"
        ) from error


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise UsageError(f"is a zip file of {', '.join(archive.namelist())[:80]}, not a .pth")
        root = pickles[0].removesuffix("data.pkl")

        def member(name: str, most: int | None = None) -> bytes:
            info = archive.getinfo(root + name)
            large = most is not None and info.file_size > most
            if large or info.compress_type != zipfile.ZIP_STORED:
                raise UsageError(f"its {name} is larger than it should be, or packed")
            return archive.read(info)

        if f"{root}byteorder" in archive.namelist() and member("byteorder") != b"little":
            raise UsageError("was written by a big-endian machine, whose files are not read")
        tensors = _state_dict(_unpickle(io.BytesIO(member("data.pkl", MOST))))
        keys = {tensor.storage.key for tensor in tensors.values()}
        sizes = [archive.getinfo(f"{root}data/{key}").file_size for key in keys]
        if sum(sizes) > file.seek(0, io.SEEK_END):  # as they lie in one another
            raise UsageError(LARGER)
        storages = {key: member(f"data/{key}") for key in keys}
    return _arrays(tensors, storages)


def _read_legacy(file: io.BufferedReader) -> dict[str, np.ndarray]:
    start = file.peek(16)[:16]
    try:
        known = [_unpickle(file) for _ in range(2)] == [MAGIC, PROTOCOL]
    except Exception:
        known = False
    if not known:
        raise UsageError(
            f"is no .pth of PyTorch: it begins with {start!r}; give one, or .safetensors"
            if start
            else "is empty, where a .pth of PyTorch was looked for; fetch it again"
        )
    _unpickle(file)  # about the machine
    tensors, keys = _state_dict(_unpickle(file)), _unpickle(file)
    sizes = {t.storage.key: t.storage.dtype.itemsize for t in tensors.values()}
    storages = {}
    for key in keys:
        length = int.from_bytes(file.read(8), "little", signed=True) * sizes[key]
        if length < 0:
            raise UsageError(LARGER)
        storages[key] = file.read(length)
    return _arrays(tensors, storages)


def _state_dict(content: Any) -> dict[str, Tensor]:
    """Raises UsageError, saying what was found, where it is none."""
    if not isinstance(content, dict):
        found = type(content).__name__
        raise UsageError(f"holds a {found}, not a state dict; save net.state_dict() alone")
    if not content:
        raise UsageError("holds an empty state dict")
    if _is_state_dict(content):
        return content
    names = ", ".join(map(str, content))
    inner = next((name for name, value in content.items() if _is_state_dict(value)), None)
    mend = (
        "save net.state_dict() alone"
        if inner is None
        else f"save one alone: torch.save(torch.load(FILE)[{inner!r:.40}], NEW_FILE)"
    )
    raise UsageError(f"holds a dict of {names:.80}, not of tensors; {mend}")


def _is_state_dict(content: Any) -> bool:
    if not isinstance(content, dict) or not content:
        return False
    return all(isinstance(n, str) and isinstance(value, Tensor) for n, value in content.items())


def _arrays(tensors: dict[str, Tensor], storages: dict[str, bytes]) -> dict[str, np.ndarray]:
    """Copies; raises UsageError where many tensors share what is there, as no network's do."""
    size = sum(math.prod(t.shape) * t.storage.dtype.itemsize for t in tensors.values())
    if size > 2 * sum(map(len, storages.values())):
        raise UsageError(LARGER)
    return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _array(tensor: Tensor, storage: bytes) -> np.ndarray:
    """A copy of a tensor; raises UsageError where it reaches out of its storage."""
    flat = np.frombuffer(storage, tensor.storage.dtype)
    steps = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((side - 1) * stride for side, stride in steps)
    negative = min((tensor.offset, *tensor.shape, *tensor.strides)) < 0
    size = math.prod(tensor.shape)
    # Larger than its storage, a tensor could be by strides of 0, of any size.
    if negative or size > len(flat) or (size and last >= len(flat)):
        raise UsageError(LARGER)
    strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides).copy()
