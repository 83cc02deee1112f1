"""Makes folders of small image pairs, and reads the sets that are prepared from them."""

import shutil
import tarfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from pix2pix_jax.config import Data
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.records import open_split

PAIRS = ["train/1.png", "train/2.jpg", "train/deep/1.bmp", "val/1.png", "test/1.bmp"]


def make_empty_files(root: Path, names: list[str]) -> Path:
    """Makes a folder of empty files, because `find_pairs` looks only at names."""
    root.mkdir()
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def make_images(root: Path, names: list[str] = PAIRS, seed: int = 0) -> Path:
    """Makes a folder of small images, each with other pixels."""
    for name in names:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 8, 3), np.uint8)).save(root / name)
    return root


def make_tarball(root: Path, kind: str = "gz") -> Path:
    """Makes a tarball of a folder, next to the folder."""
    path = root.with_name(f"{root.name}.tar.{kind}")
    with tarfile.open(path, f"w:{kind}") as archive:
        archive.add(root, root.name)
    return path


def make_zip(root: Path) -> Path:
    """Makes a zip file of a folder, next to the folder."""
    return Path(shutil.make_archive(str(root), "zip", root.parent, root.name))


def find_names(root: Path, form: str | None = None) -> dict[str, dict[str, list[str]]]:
    """The pairs that `find_pairs` finds: {split: {name: files}}."""
    return {
        split: {pair.name: [str(path.relative_to(root)) for path in pair.files] for pair in pairs}
        for split, pairs in find_pairs(Source(root, "SOURCE"), form).splits.items()
    }


def folder_data(source: Path) -> Data:
    """The config of a `folder` set, which is prepared in a folder next to its source."""
    return Data(name="folder", source=str(source), data_dir=str(source.parent / "cache"))


def read_contents(builder) -> dict[str, dict[str, list[bytes]]]:
    """The records that were written: {split: {name: bytes of the files}}."""
    return {
        split: {record["name"].decode(): list(record["files"]) for record in records}
        for split in builder.info.splits
        for records in [open_split(builder, split)]
    }


def list_written(data: Data) -> dict[Path, int]:
    """Every file of the prepared sets, and the time when it was written, in ns."""
    root = Path(data.data_dir)
    files = [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: path.stat().st_mtime_ns for path in files}
