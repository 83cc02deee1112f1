"""Arrays as PyTorch's .pth files, without PyTorch; `torch_file` reads them."""

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np


def _rebuild_tensor_v2(*arguments: Any) -> None:
    """Is named, not called."""


class FloatStorage:
    """Is named, not made."""


class LongStorage:
    """Is named, not made."""


class Storage(NamedTuple):
    """The numbers of an array."""

    array: np.ndarray


class Pickler(pickle.Pickler):
    """Writes arrays as PyTorch writes tensors."""

    def __init__(self, file: BinaryIO, storages: list[bytes]):
        super().__init__(file, protocol=2)
        self.storages = storages

    def reducer_override(self, value: Any) -> Any:
        """How an array is put together again."""
        if not isinstance(value, np.ndarray):
            return NotImplemented
        strides = tuple(stride // value.itemsize for stride in value.strides)
        arguments = (Storage(value), 0, value.shape, strides, False, OrderedDict())
        return _rebuild_tensor_v2, arguments

    def persistent_id(self, value: Any) -> Any:
        """Where an array's numbers lie."""
        if not isinstance(value, Storage):
            return None
        self.storages.append(value.array.astype(value.array.dtype.newbyteorder("<")).tobytes())
        kind = {np.dtype(np.float32): FloatStorage, np.dtype(np.int64): LongStorage}
        key = str(len(self.storages) - 1)
        return "storage", kind[value.array.dtype], key, "cpu", value.array.size


def write_pth(path: Path, state: dict[str, np.ndarray]) -> None:
    """Writes a state dict of float32 and int64 arrays as `torch.save` does."""
    file, storages = io.BytesIO(), []
    Pickler(file, storages).dump(
        OrderedDict((k, np.asarray(v, order="C")) for k, v in state.items())
    )
    content, ours = file.getvalue(), f"c{__name__}\n".encode()
    # Protocol 2 names what it calls in plain lines, which nothing counts.
    content = content.replace(ours + b"_rebuild", b"ctorch._utils\n_rebuild")
    content = content.replace(ours, b"ctorch\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", "little")
        for key, storage in enumerate(storages):
            archive.writestr(f"archive/data/{key}", storage)
        archive.writestr("archive/version", "3\n")
