"""Damaged files of every kind are either read, or refused in one line that names the file.

    pytest tests/cli/test_fuzz.py --hypothesis-profile=long

tries thousands of files.
"""

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers.pth_files import dict_pickle, tensor_opcodes, write_legacy, write_zip
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save as safetensors

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.reader import read_network
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.config import Config
from pix2pix_jax.config.files import override, read_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data.archives.unpack import unpack
from pix2pix_jax.data.images.full_depth import read_input_pixels
from pix2pix_jax.data.images.image_files import decode_pair, read_bytes
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.interop.weight_reader import read_weights
from pix2pix_jax.runs.metrics_log import read_metrics, rewind
from pix2pix_jax.runs.workdir import Workdir


@st.composite
def damaged(draw, intact: bytes) -> bytes:
    """A file with some bytes changed, removed, repeated or added."""
    content = intact
    for _ in range(draw(st.integers(1, 4))):
        start, length = draw(st.integers(0, len(content))), draw(st.integers(0, 64))
        before, part, after = content[:start], content[start:][:length], content[start + length :]
        damage = draw(
            st.sampled_from(["flip", "number", "other", "cut", "removed", "twice", "longer"])
        )
        content = (
            before
            + {
                "flip": bytes([content[start] ^ 1 << length % 8]) + content[start + 1 :]
                if start < len(content)
                else b"",
                "number": draw(st.sampled_from(NUMBERS)) + content[start + 4 :],
                "other": draw(st.binary(min_size=len(part), max_size=len(part))) + after,
                "cut": b"",
                "removed": after,
                "twice": part + part + after,
                "longer": draw(st.binary(max_size=64)) + part + after,
            }[damage]
        )
    return content


# Numbers that formats use as sizes and offsets.
NUMBERS = [
    struct.pack(f"{order}{kind}", number)
    for order in "<>"
    for kind, numbers in (("i", (0, -1, 2**31 - 1, 65536)), ("q", (-1, 2**62, 2**40)))
    for number in numbers
]


def image(mode, kind, **options):
    """The bytes of a small image of noise."""
    size = (24, 8)
    bands = {"I;16": 1, "L": 1, "P": 1, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    noise = np.random.default_rng(0).integers(0, 256, (8, 24, bands), np.uint8)
    if mode == "I;16":
        picture = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    elif mode == "P":
        picture = Image.fromarray(noise[..., 0]).quantize(16)
    else:
        picture = Image.merge(mode, [Image.fromarray(noise[..., band]) for band in range(bands)])
    assert picture.size == size
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def rotated_exif():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def animated():
    frames = [Image.new("P", (24, 8), colour) for colour in (0, 1, 2)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def array(dtype, shape=(8, 24, 3)):
    file = io.BytesIO()
    np.save(file, np.ones(shape, dtype))
    return file.getvalue()


def tarball(kind):
    """A tarball of pairs; some kinds have members or links that lead out of the folder."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{kind}") as archive:
        for name in ("train/1.png", "val/2.png", "../outside.png", "/tmp/outside.png"):
            member, content = tarfile.TarInfo(name), image("RGB", "PNG")
            member.size = len(content)
            if not name.startswith(("/", "..")) or kind == "gz":
                archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("train/link")
        link.type, link.linkname = tarfile.SYMTYPE, "../.."
        if kind == "bz2":
            archive.addfile(link)
    return file.getvalue()


def zip_file(method):
    """A zip file of pairs."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name in ("train/1.png", "train\\2.png", "val/2.png"):
            archive.writestr(name, image("RGB", "PNG"))
    return file.getvalue()


def written_by(write, *arguments):
    """A function that writes a file into a folder with `write`, and returns the bytes."""

    def content(folder):
        write(folder / "written", *arguments)
        return (folder / "written").read_bytes()

    return content


def read_pair(path: Path) -> None:
    decode_pair([read_bytes(path, str(path))], [str(path)])


def read_archive(path: Path) -> None:
    with unpack(path, path.parent / "scratch") as root:
        for pairs in find_pairs(Source(root, str(path))).splits.values():
            for pair in pairs:
                for file in pair.files:
                    read_pair(file)
    (path.parent / "scratch").rmdir()


def read_and_rewind(path: Path) -> None:
    read_metrics(path)
    rewind(path, 8)


LINES = [json.dumps({"step": step, "loss/generator": 0.1 * step}) for step in (4, 8, 12)]
TENSORS = {"down1.kernel": np.ones((4, 4, 3, 8), np.float32), "n": np.zeros((), np.int64)}
TORCH_TENSORS = {
    f"model.model.{layer}.weight": np.ones((8, 3, 4, 4), np.float32) for layer in ("0", "1.model.1")
}
READERS: dict[str, tuple[Callable, list]] = {
    "image.png": (
        lambda path: read_input_pixels(path, 3),
        [
            *(image(mode, "PNG") for mode in ("L", "P", "RGB", "RGBA", "I;16")),
            *(image(mode, "JPEG") for mode in ("L", "RGB", "CMYK")),
            image("RGB", "JPEG", exif=rotated_exif(), progressive=True),
            *(image(mode, "TIFF") for mode in ("RGB", "I;16")),
            *(image("RGB", "TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate")),
            *(image("RGB", "WEBP", lossless=lossless) for lossless in (False, True)),
            image("RGB", "BMP"),
            animated(),
        ],
    ),
    "pair.jpg": (read_pair, [image("RGB", kind) for kind in ("PNG", "JPEG", "WEBP", "GIF")]),
    "array.npy": (
        lambda path: read_input_pixels(path, 3),
        [array(dtype) for dtype in (np.uint8, np.uint16, np.float32)],
    ),
    "pairs.tar": (read_archive, [tarball(kind) for kind in ("", "gz", "bz2", "xz")]),
    "pairs.zip": (
        read_archive,
        [
            zip_file(method)
            for method in (
                zipfile.ZIP_STORED,
                zipfile.ZIP_DEFLATED,
                zipfile.ZIP_BZIP2,
                zipfile.ZIP_LZMA,
            )
        ],
    ),
    "config.json": (
        lambda path: resolve(read_config(path)),
        [json.dumps(asdict(config)).encode() for config in (Config(), resolve(Config()))],
    ),
    "metrics.jsonl": (read_and_rewind, ["\n".join([*LINES, ""]).encode()]),
    "weights.pth": (
        lambda path: read_weights(path, "generator"),
        [
            written_by(
                write,
                dict_pickle(
                    **{
                        "model.model.0.weight": tensor_opcodes((2, 2), (1, 2)),
                        "model.model.1.model.1.weight": tensor_opcodes((3,), (1,), 1),
                    }
                ),
            )
            for write in (write_zip, write_legacy)
        ],
    ),
    "weights.safetensors": (
        lambda path: read_weights(path, "generator"),
        [
            safetensors(TORCH_TENSORS),
            safetensors(TENSORS, {"config": json.dumps(asdict(resolve(Config())))}),
        ],
    ),
}


def read_or_refusal(read: Callable, *arguments):
    """The result of `read`, or the line of its UsageError; any other error fails the test."""
    try:
        return read(*arguments)
    except UsageError as error:
        text = str(error)
    assert len(text.splitlines()) == 1
    return text


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused(tmp_path_factory, name):
    read, intact_files = READERS[name]
    folder = tmp_path_factory.mktemp("fuzz")
    intact_files = [intact(folder) if callable(intact) else intact for intact in intact_files]
    path = folder / "inside" / name
    path.parent.mkdir()
    # Some members of the tarballs are refused even if they are intact.
    for intact in intact_files[: 0 if name == "pairs.tar" else None]:
        path.write_bytes(intact)
        read(path)

    @given(data=st.data())
    def check(data):
        path.write_bytes(data.draw(st.sampled_from(intact_files).flatmap(damaged)))
        outcome = read_or_refusal(read, path)
        if isinstance(outcome, str) and name != "config.json":
            assert str(path.parent) in outcome
        assert {p.name for p in folder.rglob("*")} <= {"inside", name, "scratch", "written"}

    check()
    assert not Path("/tmp/outside.png").exists()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=6,
)
FIELDS = [
    (group, field)
    for group, fields in asdict(Config()).items()
    if isinstance(fields, dict)
    for field in fields
]


@given(values=st.lists(st.tuples(st.sampled_from(FIELDS), JSON), min_size=1, max_size=3))
def test_fields_of_any_type_are_accepted_or_refused(tmp_path_factory, values):
    tree = asdict(Config())
    for (group, field), value in values:
        tree[group][field] = value
    path = tmp_path_factory.mktemp("config") / "config.json"
    path.write_text(json.dumps(tree))
    config = read_or_refusal(read_config, path)
    if isinstance(config, str):
        assert config.startswith(f"{path}: ")
    else:
        outcome = read_or_refusal(resolve, config)
        if isinstance(outcome, str):
            assert any(field in outcome for (_, field), _ in values)


@given(
    values=st.dictionaries(st.sampled_from([".".join(f) for f in FIELDS]), st.text(), max_size=3)
)
def test_flags_with_any_text_raise_only_usage_errors(values):
    read_or_refusal(lambda: resolve(override(Config(), values)))


def test_damaged_checkpoints_are_refused_or_read_correctly(tmp_path_factory, small):
    workdir = tmp_path_factory.mktemp("run")
    state = jax.device_get(create_state(small))
    with CheckpointStore(Workdir(workdir), 3, "l1") as store:
        store.save(Checkpoint(state, Totals(3), "pairs", {"l1": 0.1}))
    files = sorted(p for p in (workdir / "checkpoints").rglob("*") if p.is_file())

    @given(file=st.sampled_from(files), data=st.data())
    def check(file, data):
        intact = file.read_bytes()
        try:
            file.write_bytes(data.draw(damaged(intact)))
            read = read_or_refusal(read_network, Workdir(workdir), small, "newest")
            if isinstance(read, str):
                assert read.startswith(str(workdir))
            else:
                jax.tree.map(np.testing.assert_array_equal, read.params, state.generator.params)
        finally:
            file.write_bytes(intact)

    check()
