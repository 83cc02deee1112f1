"""Loads the pickles inside PyTorch's .pth files, without PyTorch and without running their code.

A pickle can call any function that it names. Three rules make loading it safe:

1. `OpcodeChecker` reads the opcodes first. It refuses opcodes that no state dict needs, keys of
   dicts that could take forever to hash, and indices of the memo that could reserve any memory.
2. `TensorUnpickler.find_class` knows the names that a state dict uses, and refuses all others.
3. Loading makes descriptions of tensors, not arrays. `torch_reader` compares their sizes with the
   file before it makes arrays.
"""

import io
import math
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
MAX_NUMBER = 1 << 48  # for an offset, a side or a stride
MAX_MARKS = 1000  # for values that are nested in one another

# Opcodes that push one value, which is not a tuple of values.
PUSHES = frozenset(
    {
        "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
        "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
        "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
        "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "GLOBAL",
    }
)  # fmt: skip
# Opcodes that replace this many values at the top of the stack by one value, which is not a tuple.
# NEWOBJ makes an object of a class. It is listed so that `find_class` refuses a pickled network,
# with the name of its class.
REPLACES = {"REDUCE": 2, "STACK_GLOBAL": 2, "NEWOBJ": 2, "BINPERSID": 1}
# Opcodes that replace this many values at the top of the stack by a tuple.
SMALL_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# Opcodes that move one value, or all values above the last mark, into the value below.
STORES_ONE, STORES_MARKED = ("APPEND", "BUILD"), ("APPENDS",)
# Opcodes that move one key and its value, or all of them above the last mark, into the dict below.
STORES_ITEM, STORES_ITEMS = "SETITEM", "SETITEMS"
# Opcodes that copy the top of the stack into the memo, or push a value of the memo.
REMEMBERS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
RECALLS = ("GET", "BINGET", "LONG_BINGET")
NO_EFFECT = ("PROTO", "FRAME")


class ArrayStorage(NamedTuple):  # not a dataclass, whose fields a pickle could set
    """Numbers of one dtype in a file.

    Attributes:
      key: name of the storage in the file.
      dtype: type of the numbers.
    """

    key: str
    dtype: np.dtype


class Tensor(NamedTuple):  # not a dataclass, whose fields a pickle could set
    """Where a tensor lies in its storage. Offset and strides count elements, not bytes.

    Attributes:
      storage: the storage that holds the numbers.
      offset: position of the first number in the storage.
      shape: sides of the tensor.
      strides: distance in the storage between neighbours along each axis.
    """

    storage: ArrayStorage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class StateDict(dict):
    """Stands for an OrderedDict. Unlike an OrderedDict, it takes no attributes from a pickle."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Ignores attributes, such as `_metadata`, in which PyTorch stores versions of modules."""


class TensorUnpickler(pickle.Unpickler):
    """Makes dicts, lists and descriptions of tensors, and calls no other functions."""

    def find_class(self, module: str, name: str) -> Any:
        """The object that a name in the pickle stands for.

        A pickle can change attributes of this object, so functions are made anew for each file.

        Raises:
          UnpicklingError: no state dict uses the name.
        """
        if (module, name) == ("collections", "OrderedDict"):
            return lambda: StateDict()  # arguments could hold keys that are not checked
        if module == "torch" and name in STORAGE_DTYPES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: rebuild_tensor(*arguments)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda *arguments: rebuild_parameter(*arguments)
        raise pickle.UnpicklingError(f"holds a whole {module}.{name}, not only tensors")

    def persistent_load(self, pid: Any) -> ArrayStorage:
        """The storage that a tensor refers to.

        Raises:
          UnpicklingError: the tensor refers to something else.
        """
        kind, dtype, key, *_ = pid
        if any(type(part) is not str for part in (kind, dtype, key)) or kind != "storage":
            raise pickle.UnpicklingError("refers to something other than a storage")
        return ArrayStorage(key, np.dtype(STORAGE_DTYPES[dtype]))


def rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """Describes a tensor; raises UnpicklingError for arguments that PyTorch does not write."""
    if type(storage) is not ArrayStorage:
        raise pickle.UnpicklingError("holds a tensor without a storage")
    numbers = (offset, *shape, *strides)
    has_bad_number = any(type(n) is not int or abs(n) > MAX_NUMBER for n in numbers)
    if has_bad_number or len(shape) > MAX_AXES or len(shape) != len(strides):
        raise pickle.UnpicklingError("holds a tensor of an impossible size")
    # NumPy refuses such a shape even if another side is 0.
    if math.prod(side for side in shape if side) > MAX_NUMBER:
        raise pickle.UnpicklingError("holds a tensor of an impossible size")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def rebuild_parameter(tensor: Any, *_: Any) -> Tensor:
    """The tensor of a parameter; raises UnpicklingError for anything else."""
    if type(tensor) is not Tensor:
        raise pickle.UnpicklingError("holds a parameter without a tensor")
    return tensor


def load_pickle(file: BinaryIO) -> Any:
    """Loads one pickle, and moves the file to the first byte after it.

    Raises:
      Exception: of many kinds, if the pickle is broken or needs more than a state dict does.
    """
    start = file.tell()
    content = file.read(MAX_PICKLE_BYTES)
    length = OpcodeChecker(content).check()
    file.seek(start + length)
    return TensorUnpickler(io.BytesIO(content[:length])).load()


class OpcodeChecker:
    """Checks the opcodes of a pickle before it is loaded.

    The checker follows the stack of the unpickler, but keeps only whether each value is a tuple.
    No tuple may be the key of a dict: a tuple that holds a tuple twice, which holds a tuple twice,
    and so on, takes exponential time to hash.
    """

    def __init__(self, content: bytes):
        """Starts before the first opcode.

        Args:
          content: bytes that begin with the pickle.
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
          UnpicklingError: no state dict needs an opcode, or an opcode could need too much time or
            memory.
          Exception: of other kinds, if the pickle is broken.
        """
        for opcode, argument, position in pickletools.genops(self._content):
            if opcode.name == "STOP":
                assert position is not None  # the pickle is in memory
                return position + 1
            if opcode.name in (STORES_ITEM, STORES_ITEMS):
                self._store_items(opcode.name)
            elif opcode.name in REMEMBERS:
                self._remember(len(self._memo) if argument is None else argument)
            elif opcode.name in RECALLS:
                assert argument is not None  # it is the index
                self._stack.append(self._memo[argument])
            else:
                self._follow(opcode.name)
        raise EOFError("the pickle has no end")  # genops raises before this line is reached

    def _follow(self, name: str) -> None:
        """Follows an opcode whose argument does not matter here."""
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
        """Follows an opcode that moves keys and values into a dict."""
        keys = self._stack[::2] if name == STORES_ITEMS else self._stack[-2:-1]
        if any(keys):
            raise pickle.UnpicklingError("holds a dict whose keys are not names")
        if name == STORES_ITEMS:
            self._pop_mark()
        else:
            self._pop(2)

    def _remember(self, index: int) -> None:
        """Follows an opcode that copies the top of the stack into the memo."""
        if not 0 <= index < len(self._content):  # the unpickler reserves memory up to the index
            raise pickle.UnpicklingError(f"remembers a value at the impossible index {index}")
        self._memo[index] = self._stack[-1]

    def _pop(self, count: int) -> None:
        if len(self._stack) < count:
            raise pickle.UnpicklingError("takes values from an empty stack")
        del self._stack[len(self._stack) - count :]

    def _pop_mark(self) -> None:
        self._stack = self._below_marks.pop()
