"""Writes .pth files, and the pickles inside them, opcode by opcode, without PyTorch."""

import pickle
import struct
import zipfile

from pix2pix_jax.interop.pytorch import reader
from pix2pix_jax.interop.pytorch.reader import MAGIC, PROTOCOL
from pix2pix_jax.interop.state_dicts import Part

STORAGE = struct.pack("<4f", 1, 2, 3, 4)  # bytes of four float32 numbers


def text_opcodes(value):
    """Opcodes of a string."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def numbers_opcodes(values):
    """Opcodes of a tuple of integers."""
    return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"


def tensor_opcodes(shape, strides, offset=0, kind="FloatStorage"):
    """Opcodes of a tensor in storage 0, as torch.save writes them."""
    storage = (
        b"(" + text_opcodes("storage") + b"ctorch\n" + kind.encode() + b"\n" + text_opcodes("0")
    )
    storage += text_opcodes("cpu") + b"K\x04tQ"
    rest = b"K" + bytes([offset]) + numbers_opcodes(shape) + numbers_opcodes(strides) + b"\x89}"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR"


def dict_pickle(**values):
    """The pickle of a dict. The arguments are the opcodes of its values."""
    pairs = b"".join(text_opcodes(name) + value for name, value in values.items())
    return b"\x80\x02}(" + pairs + b"u."


def write_zip(path, content, storage=STORAGE, compression=zipfile.ZIP_STORED):
    """Writes a pickle and a storage in the format of PyTorch 1.6 and newer."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/data/0", storage)


def write_legacy(path, content, storage=STORAGE):
    """Writes a pickle and a storage in the format of older versions."""
    heads = [pickle.dumps(value, 2) for value in (MAGIC, PROTOCOL, {})]
    counted = struct.pack("<q", len(storage) // 4) + storage
    path.write_bytes(b"".join(heads) + content + pickle.dumps(["0"], 2) + counted)


def read_pth(path):
    """All tensors of the only state dict in a file, whatever their names."""
    return reader.read_pth(path, lambda found: Part("", found[""])).tensors
