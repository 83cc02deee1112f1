"""`read_pth` reads files that are written by hand, without PyTorch, and runs no code in them."""

import pickle
import struct
import zipfile
import zlib

import ml_dtypes
import numpy as np
import pytest
from helpers.pth_files import (
    STORAGE,
    dict_pickle,
    numbers_opcodes,
    read_pth,
    tensor_opcodes,
    text_opcodes,
    write_legacy,
    write_zip,
)
from helpers.refusals import refusal

from pix2pix_jax.interop.pytorch import pickles
from pix2pix_jax.interop.pytorch.writer import write_pth


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_strides_and_offsets_are_followed(tmp_path, write):
    path = tmp_path / "G.pth"
    write(
        path,
        dict_pickle(
            a=tensor_opcodes((2, 2), (1, 2)),
            b=tensor_opcodes((3,), (1,), 1),
            c=tensor_opcodes((), (), 2),
        ),
    )
    found = read_pth(path)
    np.testing.assert_array_equal(found["a"], [[1, 3], [2, 4]])
    np.testing.assert_array_equal(found["b"], [2, 3, 4])
    assert (found["c"].shape, found["c"]) == ((), 3)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((5,), (1,), 0),
        ((1 << 40,), (0,), 0),
        ((2, 2), (4, 1), 0),
        ((2,), (1,), 3),
        ((2,), (-1,), 1),
        ((-2,), (1,), 0),
        ((0, 9), (1, -1), 0),
    ],
)
def test_a_tensor_that_is_not_inside_its_storage_is_refused(
    tmp_path, write, shape, strides, offset
):
    write(tmp_path / "G.pth", dict_pickle(a=tensor_opcodes(shape, strides, offset)))
    assert "larger than their storage" in refusal(read_pth, tmp_path / "G.pth")


def test_many_tensors_that_share_a_storage_are_refused(tmp_path):
    write_zip(
        tmp_path / "G.pth", dict_pickle(**{f"t{n}": tensor_opcodes((4,), (1,)) for n in range(3)})
    )
    assert "larger than their storage" in refusal(read_pth, tmp_path / "G.pth")


def test_overlapping_storages_are_refused(tmp_path):
    """Each storage is the whole rest of the file, so a small file could fill the memory."""
    tensors = {
        f"t{n}": tensor_opcodes((1,), (1,)).replace(text_opcodes("0"), text_opcodes(str(n)))
        for n in range(50)
    }
    path = tmp_path / "G.pth"
    with path.open("w+b") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", dict_pickle(**tensors))
        for n in range(50):
            archive.writestr(f"archive/data/{n}", STORAGE)
        end = file.tell()
        for info in archive.filelist[1:]:
            file.seek(info.header_offset + 30 + len(info.filename))
            rest = file.read(end - file.tell())
            info.file_size = info.compress_size = len(rest)
            info.CRC = zlib.crc32(rest)
        file.seek(end)
    refusal(read_pth, path)


class OpensFile:
    """Makes a file if an ordinary unpickler loads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_no_code_in_a_file_is_run(tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "G.pth"
    content = pickle.dumps({"a": OpensFile(mark)}, 2)
    for write in (write_zip, write_legacy):
        write(path, content)
        assert "open, not only tensors" in refusal(read_pth, path)
    path.write_bytes(content)
    assert "is a pickle that torch.save did not write" in refusal(read_pth, path)
    assert not mark.exists()
    pickle.loads(content)["a"].close()
    assert mark.exists()  # pickle itself runs the code


def test_a_file_cannot_change_objects_of_this_program(tmp_path):
    """The opcode BUILD sets the state of an object, such as the byte order of a dtype."""
    state = pickle.dumps((3, "<", None, None, None, 1, 1, 0), 2)[2:-1]
    for call in (b"", b")R"):
        content = dict_pickle(a=b"ctorch\nBFloat16Storage\n" + call + state + b"b")
        write_zip(tmp_path / "G.pth", content)
        assert str(tmp_path / "G.pth") in refusal(read_pth, tmp_path / "G.pth")
    assert np.dtype(ml_dtypes.bfloat16).itemsize == 2
    slots = pickle.dumps((None, {"__defaults__": (7,), "__doc__": "changed"}), 2)[2:-1]
    for function in (
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch._utils\n_rebuild_parameter\n",
    ):
        write_zip(tmp_path / "G.pth", dict_pickle(a=function + slots + b"b"))
        assert "not a state dict" in refusal(read_pth, tmp_path / "G.pth")
    assert pickles.rebuild_tensor.__defaults__ is None
    assert pickles.rebuild_tensor.__doc__ != "changed"


def nested_tuples(code):
    """Opcodes of a tuple with 40 levels; each level contains the level below it twice."""
    return b"K\x01\x85" + b"".join(code.replace(b"N", bytes([n])) for n in range(40))


NESTED = nested_tuples(b"qNhN\x86")  # NESTED refers to a level through the memo
PARAMETER = b"ctorch._utils\n_rebuild_parameter\n"
BOMBS = {
    "a key that takes forever to hash": b"\x80\x02}" + NESTED + b"K\x01s.",
    "such a key by DUP": b"\x80\x02}" + nested_tuples(b"2\x86") + b"K\x01s.",
    "such a key in protocol 4": b"\x80\x04}" + nested_tuples(b"\x94hN\x86") + b"K\x01s.",
    "such a key from the memo": b"\x80\x02}" + NESTED + b"q\x500}h\x50K\x01s.",
    "such a key that BUILD leaves as it is": b"\x80\x02}" + NESTED + b"NbK\x01s.",
    "such a key that APPENDS leaves as it is": b"\x80\x02}" + NESTED + b"(eK\x01s.",
    "such a key that a call returns": b"\x80\x02}" + PARAMETER + NESTED + b"\x85RK\x01s.",
    "many such keys": b"\x80\x02}(" + NESTED + b"K\x01u.",
    "many such keys after others": b"\x80\x02}(K\x01K\x01" + NESTED + b"K\x01u.",
    "a dict with such keys, given whole": b"\x80\x02(" + NESTED + b"K\x01d.",
    "a set of such tuples": b"\x80\x04\x8f(" + NESTED + b"\x90.",
    "a call with such tuples": (
        b"\x80\x02ccollections\nOrderedDict\n(" + NESTED + b"K\x01\x86\x85tR."
    ),
    "a shape of such tuples": dict_pickle(
        a=tensor_opcodes((4,), (1,)).replace(numbers_opcodes((4,)), b"(" + NESTED + b"t", 1)
    ),
    "a tensor that BUILD changes to such tuples": dict_pickle(
        a=tensor_opcodes((4,), (1,)) + b"(" + NESTED + b"K\x01K\x01tb"
    ),
    "a memo of any size": b"\x80\x02}r\xff\xff\xff\xff.",
    "a negative index of the memo": b"\x80\x02}p-1\n.",
    "bytes without end": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
    "a frame without end": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"}.",
    "numbers without end": dict_pickle(a=tensor_opcodes((1 << 60, 1 << 60), (0, 0))),
    "sides without end, and a side of 0": dict_pickle(
        a=tensor_opcodes((0, 1 << 48, 1 << 48), (1, 1, 1))
    ),
    "more sides than strides": dict_pickle(a=tensor_opcodes((2, 2), (1,))),
    "axes without end": dict_pickle(a=tensor_opcodes((1,) * 10_000, (1,) * 10_000)),
    "marks without end": b"\x80\x02" + b"(" * (1 << 20) + b"t" * (1 << 20) + b".",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_a_short_file_takes_little_time_and_memory(tmp_path, bomb, write):
    write(tmp_path / "G.pth", BOMBS[bomb])
    assert str(tmp_path / "G.pth") in refusal(read_pth, tmp_path / "G.pth")


def test_attributes_of_a_state_dict_are_ignored(tmp_path):
    """PyTorch keeps versions of modules in an attribute. A malicious file could set methods."""
    content = (
        b"\x80\x02ccollections\nOrderedDict\n)R("
        + text_opcodes("a")
        + tensor_opcodes((4,), (1,))
        + b"u"
    )
    content += b"}(" + text_opcodes("_metadata") + b"}" + text_opcodes("items") + b"K\x01ub."
    write_zip(tmp_path / "G.pth", content)
    np.testing.assert_array_equal(read_pth(tmp_path / "G.pth")["a"], [1, 2, 3, 4])


OTHER_PICKLES = {
    "a list": (pickle.dumps([1.0], 2), "contains a list, not a state dict"),
    "nothing": (pickle.dumps({}, 2), "contains an empty state dict"),
    "numbers": (
        pickle.dumps({"a": 1}, 2),
        "contains a dict with the keys a, not a state dict; save only net.",
    ),
    "no names": (
        b"\x80\x02}(K\x01" + tensor_opcodes((4,), (1,)) + b"u.",
        "contains a dict with the keys 1, not",
    ),
    "an unknown storage": (
        dict_pickle(a=tensor_opcodes((4,), (1,), kind="X")),
        "numbers of the type torch.X, which is not supported",
    ),
    "a tensor of nothing": (
        dict_pickle(a=b"ctorch._utils\n_rebuild_tensor_v2\n(K\x00K\x00))\x89}tR"),
        "a tensor without a storage",
    ),
    "half a pickle": (b"\x80\x02}(X", "is not a state dict that torch.save wrote"),
}


@pytest.mark.parametrize("name", OTHER_PICKLES)
def test_a_pickle_that_is_not_a_state_dict_is_refused_with_its_content(tmp_path, name):
    content, expected = OTHER_PICKLES[name]
    write_zip(tmp_path / "G.pth", content)
    message = refusal(read_pth, tmp_path / "G.pth")
    assert message.startswith(f"{tmp_path}/G.pth: ")
    assert expected in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"not weights", "begins with b'not weights'"),
        (b"\x89PNG\r\n\x1a\n", "begins with b'\\x89PNG"),
        (b"PK\x03\x04 and no more", "is damaged or cut short"),
    ],
)
def test_the_error_for_a_file_that_is_not_a_pth_says_how_the_file_begins(
    tmp_path, content, expected
):
    (tmp_path / "G.pth").write_bytes(content)
    assert expected in refusal(read_pth, tmp_path / "G.pth")


def test_other_archives_and_compressed_members_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "G.pth", "w") as archive:
        archive.writestr("photo.txt", "no weights")
    assert "is a zip file with photo.txt, not a .pth file" in refusal(read_pth, tmp_path / "G.pth")
    write_zip(tmp_path / "G.pth", b"0" * 99, compression=zipfile.ZIP_DEFLATED)
    assert "data.pkl inside the file is compressed" in refusal(read_pth, tmp_path / "G.pth")


def test_a_damaged_end_of_an_archive_is_reported(tmp_path):
    write_zip(tmp_path / "G.pth", dict_pickle(a=tensor_opcodes((4,), (1,))))
    content = bytearray((tmp_path / "G.pth").read_bytes())
    content[-6:-2] = b"\xff\xff\xff\xff"  # the position of the directory of the archive
    (tmp_path / "G.pth").write_bytes(content)
    message = refusal(read_pth, tmp_path / "G.pth")
    assert message.startswith(f"{tmp_path}/G.pth: is damaged or cut short")


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path = tmp_path / "G.pth"
    write_pth(path, {"a": np.arange(99, dtype=np.float32), "n": np.zeros((), np.int64)})
    np.testing.assert_array_equal(read_pth(path)["a"], np.arange(99))
    content = path.read_bytes()
    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        assert str(path) in refusal(read_pth, path)
    write_legacy(path, dict_pickle(a=tensor_opcodes((4,), (1,))))
    content = path.read_bytes()
    for length in range(1, len(content)):
        path.write_bytes(content[:length])
        assert str(path) in refusal(read_pth, path)
