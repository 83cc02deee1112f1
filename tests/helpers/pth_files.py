"""PyTorch's .pth files, written by hand."""

import pickle
import struct
import zipfile

from pix2pix_jax.interop.torch_reader import MAGIC, PROTOCOL

STORAGE = struct.pack("<4f", 1, 2, 3, 4)


def text(value):
    """A string as a pickle has it."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def numbers(values):
    return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"


def tensor(shape, strides, offset=0, kind="FloatStorage"):
    """What torch.save writes of one, its storage being number 0 of the file."""
    storage = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text("0")
    storage += text("cpu") + b"K\x04tQ"
    rest = b"K" + bytes([offset]) + numbers(shape) + numbers(strides) + b"\x89}"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR"


def pickled(**values):
    """A pickle of a dict of pickles without their ends."""
    pairs = b"".join(text(name) + value for name, value in values.items())
    return b"\x80\x02}(" + pairs + b"u."


def zipped(path, content, storage=STORAGE, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/data/0", storage)


def legacy(path, content, storage=STORAGE):
    heads = [pickle.dumps(value, 2) for value in (MAGIC, PROTOCOL, {})]
    counted = struct.pack("<q", len(storage) // 4) + storage
    path.write_bytes(b"".join(heads) + content + pickle.dumps(["0"], 2) + counted)
