"""Loads the pickles inside PyTorch's .pth files without PyTorch and without running anything.

A pickle can call any function that it names, so three rules hold before and while one is loaded:

1. `OpcodeChecker` reads the opcodes first and refuses those that no state dict needs, keys of
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
# Opcodes that move one key and its value, or all above the last mark, into the dict below.
STORES_ITEM, STORES_ITEMS = "SETITEM", "SETITEMS"
# Opcodes that copy the top of the stack into the memo, or push a value of the memo.
REMEMBERS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
RECALLS = ("GET", "BINGET", "LONG_BINGET")
NO_EFFECT = ("PROTO", "FRAME")


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
    length = OpcodeChecker(content).check()
    file.seek(start + length)
    return TensorUnpickler(io.BytesIO(content[:length])).load()


class OpcodeChecker:
    """Follows the stack of the unpickler with one bit for each value: whether it is a tuple.

    A tuple that holds a tuple twice, which holds a tuple twice, and so on, takes exponential time
    to hash, so no tuple may be the key of a dict.
    """

    def __init__(self, content: bytes):
        """Starts before the first opcode.

        Args:
          content: begins with the pickle.
        """
        self._content = content
        self._stack: list[bool] = []
        self._below_marks: list[list[bool]] = []
        self._memo: dict[int, bool] = {}

    def check(self) -> int:
        """Checks all opcodes.

        Returns:
          The length of the pickle in bytes.

        Raises:
          UnpicklingError: an opcode is not needed for state dicts, or takes too much.
          Exception: of other kinds, if the pickle is broken.
        """
        for opcode, argument, position in pickletools.genops(self._content):
            if opcode.name == "STOP":
                assert position is not None  # of a pickle in memory
                return position + 1
            if opcode.name in (STORES_ITEM, STORES_ITEMS):
                self._store_items(opcode.name)
            elif opcode.name in REMEMBERS:
                self._remember(len(self._memo) if argument is None else argument)
            elif opcode.name in RECALLS:
                assert argument is not None  # the index
                self._stack.append(self._memo[argument])
            else:
                self._follow(opcode.name)
        raise EOFError("the pickle has no end")  # genops raises before this line is reached

    def _follow(self, name: str) -> None:
        """Moves values as an opcode does that has no argument of interest."""
        if name in PUSHES:
            self._stack.append(False)
        elif name in REPLACES:
            self._pop(REPLACES[name])
            self._stack.append(False)
        elif name in SMALL_TUPLES:
            self._pop(SMALL_TUPLES[name])
            self._stack.append(True)
        elif name == "TUPLE":
            self._pop_mark()
            self._stack.append(True)
        elif name == "MARK":
            if len(self._below_marks) == MAX_MARKS:
                raise pickle.UnpicklingError("nests values too deeply")
            self._below_marks.append(self._stack)
            self._stack = []
        elif name in STORES_ONE:
            self._pop(1)
        elif name in STORES_MARKED:
            self._pop_mark()
        elif name not in NO_EFFECT:
            raise pickle.UnpicklingError(f"uses {name}, which no state dict needs")

    def _store_items(self, name: str) -> None:
        """Moves keys and values into a dict."""
        keys = self._stack[::2] if name == STORES_ITEMS else self._stack[-2:-1]
        if any(keys):
            raise pickle.UnpicklingError("holds a dict whose keys are not names")
        if name == STORES_ITEMS:
            self._pop_mark()
        else:
            self._pop(2)

    def _remember(self, index: int) -> None:
        """Puts the value at the top of the stack into the memo."""
        if not 0 <= index < len(self._content):  # the unpickler reserves memory up to the index
            raise pickle.UnpicklingError(f"remembers a value at an impossible place, {index}")
        self._memo[index] = self._stack[-1]

    def _pop(self, count: int) -> None:
        if len(self._stack) < count:
            raise pickle.UnpicklingError("takes values from an empty stack")
        del self._stack[len(self._stack) - count :]

    def _pop_mark(self) -> None:
        self._stack = self._below_marks.pop()
