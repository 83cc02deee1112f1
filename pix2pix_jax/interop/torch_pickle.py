"""Loads the pickles inside PyTorch's .pth files without PyTorch and without running anything.

A pickle can call any function that it names, so three rules hold before and while one is loaded:

1. `check_opcodes` reads the opcodes first and refuses those that no state dict needs, keys of
   dicts that could take forever to hash, and places that could take any memory to remember.
2. `TensorUnpickler.find_class` knows the four names of a state dict; every other name is refused.
3. What these four names stand for builds descriptions of tensors, never tensors: the reader
   compares their sizes with the file before it makes arrays.
"""

import io
import pickle
import pickletools
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

STORAGE_DTYPES = {
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
MAX_PICKLE_BYTES = 1 << 22  # a pickle names tensors and does not hold their numbers
MAX_AXES = 8  # of a tensor
MAX_NUMBER = 1 << 48  # of an offset, a side or a stride
MAX_MARKS = 1000  # of nested values that are open at the same time

# Opcodes that push one value, which is not a tuple of other values.
PUSHES = frozenset(
    {
        "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
        "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
        "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
        "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "GLOBAL",
    }
)  # fmt: skip
# Opcodes that replace some values at the top of the stack by one, which is not a tuple. NEWOBJ is
# here so that a whole network is refused by the name of its class: `find_class` returns no class.
REPLACES = {"REDUCE": 2, "STACK_GLOBAL": 2, "NEWOBJ": 2, "BINPERSID": 1}
SMALL_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# Opcodes that move one value, or all above the last mark, into the value below.
STORES_ONE, STORES_MARKED = ("APPEND", "BUILD"), ("APPENDS",)


class Storage(NamedTuple):  # not a dataclass, whose fields a pickle could set
    """Numbers of one dtype in a file.

    Attributes:
      key: name of the storage in the file.
      dtype: of the numbers.
    """

    key: str
    dtype: np.dtype


class Tensor(NamedTuple):  # not a dataclass, whose fields a pickle could set
    """Where a tensor lies in its storage; all numbers count elements.

    Attributes:
      storage: holds the numbers.
      offset: of the first number.
      shape: sides of the tensor.
      strides: steps through the storage along each axis.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class StateDict(dict):
    """An OrderedDict of a pickle, without the attributes that a pickle could give to one."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Ignores attributes; PyTorch stores versions of its modules as one."""


class TensorUnpickler(pickle.Unpickler):
    """Builds dicts, lists and descriptions of tensors, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for.

        Functions are new ones for each file: a pickle may change attributes of what it gets.

        Raises:
          UnpicklingError: the name is not one of a state dict.
        """
        if (module, name) == ("collections", "OrderedDict"):
            return lambda: StateDict()  # with arguments it would hash keys that are not checked
        if module == "torch" and name in STORAGE_DTYPES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: rebuild_tensor(*arguments)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda *arguments: rebuild_parameter(*arguments)
        raise pickle.UnpicklingError(f"holds a whole {module}.{name}, not only tensors")

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that a tensor refers to.

        Raises:
          UnpicklingError: the tensor refers to something else.
        """
        kind, dtype, key, *_ = pid
        if any(type(part) is not str for part in (kind, dtype, key)) or kind != "storage":
            raise pickle.UnpicklingError("refers to something other than a storage")
        return Storage(key, np.dtype(STORAGE_DTYPES[dtype]))


def rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """Describes a tensor; raises UnpicklingError for arguments that PyTorch would not write."""
    if type(storage) is not Storage:
        raise pickle.UnpicklingError("holds a tensor without a storage")
    numbers = (offset, *shape, *strides)
    if len(shape) > MAX_AXES or any(type(n) is not int or abs(n) > MAX_NUMBER for n in numbers):
        raise pickle.UnpicklingError("holds a tensor of an impossible size")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def rebuild_parameter(tensor: Any, *_: Any) -> Tensor:
    """The tensor of a parameter; raises UnpicklingError for something else."""
    if type(tensor) is not Tensor:
        raise pickle.UnpicklingError("holds a parameter without a tensor")
    return tensor


def load_pickle(file: BinaryIO) -> Any:
    """Loads one pickle and leaves the file just behind it.

    Raises:
      Exception: of many kinds, for a pickle that is broken or no state dict.
    """
    start = file.tell()
    content = file.read(MAX_PICKLE_BYTES)
    length = check_opcodes(content)
    file.seek(start + length)
    return TensorUnpickler(io.BytesIO(content[:length])).load()


def check_opcodes(content: bytes) -> int:
    """Checks the opcodes of a pickle before it is loaded.

    The stack of the unpickler is followed with one bit for each value: whether it is a tuple. A
    tuple of one tuple twice, and so on, takes exponential time to hash, so no tuple may be a key.

    Args:
      content: begins with the pickle.

    Returns:
      The length of the pickle in bytes.

    Raises:
      UnpicklingError: an opcode is not needed for state dicts, or would take too much.
      Exception: of other kinds, if the pickle is broken.
    """
    stack: list[bool] = []
    below_marks: list[list[bool]] = []
    memo: dict[int, bool] = {}
    for opcode, argument, position in pickletools.genops(content):
        name = opcode.name
        if name in PUSHES:
            stack.append(False)
        elif name in REPLACES:
            _pop(stack, REPLACES[name])
            stack.append(False)
        elif name in SMALL_TUPLES:
            _pop(stack, SMALL_TUPLES[name])
            stack.append(True)
        elif name == "MARK":
            if len(below_marks) == MAX_MARKS:
                raise pickle.UnpicklingError("nests values too deeply")
            below_marks.append(stack)
            stack = []
        elif name == "TUPLE":
            stack = below_marks.pop()
            stack.append(True)
        elif name in STORES_ONE:
            _pop(stack, 1)
        elif name in STORES_MARKED:
            stack = below_marks.pop()
        elif name == "SETITEM":
            _check_keys(stack[-2:-1])
            _pop(stack, 2)
        elif name == "SETITEMS":
            _check_keys(stack[::2])
            stack = below_marks.pop()
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            index = len(memo) if argument is None else argument
            if not 0 <= index < len(content):  # the unpickler reserves memory up to the index
                raise pickle.UnpicklingError(f"remembers a value at an impossible place, {index}")
            memo[index] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            assert argument is not None  # the index
            stack.append(memo[argument])
        elif name == "STOP":
            assert position is not None  # of a pickle in memory
            return position + 1
        elif name not in ("PROTO", "FRAME"):
            raise pickle.UnpicklingError(f"uses {name}, which no state dict needs")
    raise EOFError("the pickle has no end")  # genops raises before this line is reached


def _pop(stack: list[bool], count: int) -> None:
    if len(stack) < count:
        raise pickle.UnpicklingError("takes values from an empty stack")
    del stack[len(stack) - count :]


def _check_keys(are_tuples: list[bool]) -> None:
    if any(are_tuples):
        raise pickle.UnpicklingError("holds a dict whose keys are not names")
