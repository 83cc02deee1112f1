"""Loads the pickles inside PyTorch's .pth files, without PyTorch and without running their code.

A pickle can call any function that it names. Three rules make loading it safe:

1. `OpcodeChecker` reads the opcodes first. It refuses opcodes that no state dict needs, keys of
   dicts that could take forever to hash, and indices of the memo that could fill the memory.
2. `TensorUnpickler.find_class` knows the names that a state dict uses. Every other name stands for
   an `Opaque` object, which ignores all arguments and runs nothing.
3. Loading makes descriptions of tensors, not arrays. `reader` compares their sizes with the
   file before it makes arrays.
"""

import io
import math
import pickle
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from pix2pix_jax.errors import UsageError
from pix2pix_jax.interop.pytorch.opcode_checker import OpcodeChecker

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
# The types of numbers of a quantized tensor, by the names of their storages.
QUANTIZED = ("QInt8Storage", "QUInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage")
SAVE_AS = (
    "save with torch.save({{name: value.{method} for name, value in net.state_dict().items()}}, "
    "FILE)"
)
# The tensors that are not an array of numbers: what they are, and the fix, by their functions.
UNUSUAL_TENSORS = {
    "_rebuild_sparse_tensor": ("a sparse tensor", SAVE_AS.format(method="to_dense()")),
    "_rebuild_sparse_csr_tensor": ("a sparse tensor", SAVE_AS.format(method="to_dense()")),
    "_rebuild_meta_tensor_no_storage": (
        "a tensor on the device `meta`, without numbers",
        "load the weights into the network before you save it",
    ),
    "_rebuild_device_tensor_from_numpy": (
        "a tensor on a device without storages",
        SAVE_AS.format(method="cpu()"),
    ),
    "_rebuild_wrapper_subclass": (
        "a tensor of a class of its own",
        SAVE_AS.format(method="dequantize()"),
    ),
}
PARAMETERS = ("_rebuild_parameter", "_rebuild_parameter_with_state")
MAX_PICKLE_BYTES = 1 << 22  # A pickle is small: it contains no numbers of tensors.
MAX_AXES = 8  # the most axes of a tensor
MAX_NUMBER = 1 << 48  # the largest offset, side or stride of a tensor


# These classes are NamedTuples, because a pickle could set the fields of a dataclass.
class StorageReference(NamedTuple):
    """A storage: numbers of one dtype in a file.

    Attributes:
      key: the name of the storage in the file.
      dtype: the type of the numbers.
    """

    key: str
    dtype: np.dtype


class Tensor(NamedTuple):
    """Describes where a tensor lies in its storage. Offset and strides count numbers, not bytes.

    Attributes:
      storage: the storage that holds the numbers.
      offset: the position of the first number in the storage.
      shape: the sides of the tensor.
      strides: for each axis, the distance in the storage between neighbours on that axis.
    """

    storage: StorageReference
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class UnusualTensor(NamedTuple):
    """Stands for a tensor that is not an array of numbers.

    Attributes:
      kind: what the tensor is.
      fix: how to save the numbers of such a tensor.
    """

    kind: str
    fix: str


class PickledDict(dict):
    """Stands for an OrderedDict. Unlike an OrderedDict, it takes no attributes from a pickle."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Ignores attributes, such as `_metadata`, in which PyTorch stores versions of modules."""


class Opaque:
    """Stands for an object of any class that is not known here, such as a whole network.

    Attributes:
      class_name: the module and the name of the class or function.
      state: the attributes that the pickle sets; None if it sets none.
    """

    class_name = ""
    state: Any = None

    def __new__(cls, *_: Any, **__: Any) -> "Opaque":
        """Ignores the arguments of the class or function."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Keeps the attributes that a pickle sets."""
        self.__dict__["state"] = state

    def __call__(self, *_: Any) -> "Opaque":
        """Stands for the result of a function that an object of any class returns."""
        return self

    def ignore(self, *_: Any) -> None:
        """Ignores a value that a pickle adds to a list or a dict of a class of its own."""

    append = extend = __setitem__ = ignore


class TensorUnpickler(pickle.Unpickler):
    """Loads a pickle, but makes only dicts, lists, descriptions of tensors and `Opaque` objects.

    Attributes:
      dtypes: the type of the numbers in every storage, by the key of the storage.
    """

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.dtypes: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The object that a name in the pickle stands for.

        A pickle can change the attributes of this object, so every call makes a new function or
        class.
        """
        if (module, name) == ("collections", "OrderedDict"):
            # OpcodeChecker does not check keys in the arguments of a call, so no call may have any.
            return lambda: PickledDict()
        if module == "torch" and name in STORAGE_DTYPES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: rebuild_tensor(*arguments)
        if module == "torch._utils" and name in PARAMETERS:
            return lambda *arguments: rebuild_parameter(*arguments)
        if module == "torch._utils" and name in UNUSUAL_TENSORS:
            return lambda *_: UnusualTensor(*UNUSUAL_TENSORS[name])
        return type("Opaque", (Opaque,), {"class_name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> StorageReference | type[Opaque]:
        """The storage that a tensor refers to, or the class of a whole network.

        Raises:
          UnpicklingError: the tensor refers to something else.
          UsageError: the numbers of the tensor have a type that is not supported.
        """
        kind, dtype, key, *_ = pid
        if isinstance(dtype, type) and issubclass(dtype, Opaque):
            if kind == "module":  # the class of a whole network, in the format before PyTorch 1.6
                return dtype
            name = dtype.class_name.rpartition(".")[2]
            # PyTorch names the type of an untyped storage elsewhere.
            kind = "a type such as float8"
            if name != "UntypedStorage":
                kind = f"the type {dtype.class_name}"
            raise UsageError(
                f"has numbers of {kind}, which is not supported",
                SAVE_AS.format(method="dequantize()" if name in QUANTIZED else "float()"),
            )
        if any(type(part) is not str for part in (kind, dtype, key)) or kind != "storage":
            raise pickle.UnpicklingError("has a tensor whose data is not a storage of torch.save")
        storage = StorageReference(key, np.dtype(STORAGE_DTYPES[str(dtype)]))
        if self.dtypes.setdefault(key, storage.dtype) != storage.dtype:
            raise pickle.UnpicklingError("has a storage with two types of numbers")
        return storage


def rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """Describes a tensor; raises UnpicklingError for arguments that PyTorch does not write."""
    if type(storage) is not StorageReference:
        raise pickle.UnpicklingError("contains a tensor without a storage")
    numbers = (offset, *shape, *strides)
    has_bad_number = any(type(n) is not int or abs(n) > MAX_NUMBER for n in numbers)
    if has_bad_number or len(shape) > MAX_AXES or len(shape) != len(strides):
        raise pickle.UnpicklingError("contains a tensor of an impossible size")
    # NumPy refuses a shape with large sides, even if another side is 0.
    if math.prod(side for side in shape if side) > MAX_NUMBER:
        raise pickle.UnpicklingError("contains a tensor of an impossible size")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def rebuild_parameter(tensor: Any, *_: Any) -> Tensor | UnusualTensor:
    """The tensor of a parameter; raises UnpicklingError for anything else."""
    if type(tensor) not in (Tensor, UnusualTensor):
        raise pickle.UnpicklingError("contains a parameter without a tensor")
    return tensor


class Pickle(NamedTuple):
    """A loaded pickle.

    Attributes:
      content: dicts, lists, numbers, texts, `Tensor` and `Opaque` objects.
      dtypes: the type of the numbers in every storage, by the key of the storage.
    """

    content: Any
    dtypes: dict[str, np.dtype]


def load_pickle(file: BinaryIO) -> Pickle:
    """Loads one pickle, and moves the file to the first byte after it.

    Raises:
      Exception: the pickle is broken, or contains something that no state dict needs; the error can
        be of any type.
    """
    start = file.tell()
    content = file.read(MAX_PICKLE_BYTES)
    length = OpcodeChecker(content).check()
    file.seek(start + length)
    unpickler = TensorUnpickler(io.BytesIO(content[:length]))
    return Pickle(unpickler.load(), unpickler.dtypes)
