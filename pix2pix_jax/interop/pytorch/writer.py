"""Writes arrays as PyTorch's .pth files, without PyTorch; `reader` reads them."""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np


def _rebuild_tensor_v2(*arguments: Any) -> None:
    """Stands for the function of the same name in `torch._utils`; it is never called."""


class FloatStorage:
    """Stands for the class of the same name in `torch`; it has no instances."""


class LongStorage:
    """Stands for the class of the same name in `torch`; it has no instances."""


STORAGES = {np.dtype(np.float32): FloatStorage, np.dtype(np.int64): LongStorage}


class PickledArray(NamedTuple):
    """Stands for the numbers of an array, which are written outside the pickle."""

    array: np.ndarray


class TensorPickler(pickle.Pickler):
    """Pickles arrays as PyTorch pickles tensors.

    Attributes:
      storages: the bytes of all arrays so far; an index in the list is the key of a storage.
    """

    def __init__(self, file: BinaryIO):
        super().__init__(file, protocol=2)
        self.storages: list[bytes] = []

    def reducer_override(self, value: Any) -> Any:
        """Returns the function and the arguments with which PyTorch rebuilds the tensor.

        For a value that is pickled as usual, the result is NotImplemented.
        """
        if not isinstance(value, np.ndarray):
            return NotImplemented
        strides = tuple(stride // value.itemsize for stride in value.strides)
        requires_grad, backward_hooks = False, OrderedDict()
        arguments = (PickledArray(value), 0, value.shape, strides, requires_grad, backward_hooks)
        return _rebuild_tensor_v2, arguments

    def persistent_id(self, value: Any) -> Any:
        """The reference to a storage; None for a value that is pickled as usual."""
        if not isinstance(value, PickledArray):
            return None
        array, key = value.array, str(len(self.storages))
        self.storages.append(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return "storage", STORAGES[array.dtype], key, "cpu", array.size


def write_pth(path: Path, state_dict: dict[str, np.ndarray]) -> None:
    """Writes a state dict as `torch.save` does.

    Args:
      path: the file to write.
      state_dict: arrays by name, float32 or int64.
    """
    file = io.BytesIO()
    pickler = TensorPickler(file)
    pickler.dump(OrderedDict((k, np.asarray(v, order="C")) for k, v in state_dict.items()))
    # Protocol 2 writes names of functions and classes as lines of text without a length, so the
    # names of this module's stand-ins can be replaced with the names of PyTorch.
    content, ours = file.getvalue(), f"c{__name__}\n".encode()
    content = content.replace(ours + b"_rebuild", b"ctorch._utils\n_rebuild")
    content = content.replace(ours, b"ctorch\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", "little")
        for key, storage in enumerate(pickler.storages):
            archive.writestr(f"archive/data/{key}", storage)
        archive.writestr("archive/version", "3\n")
