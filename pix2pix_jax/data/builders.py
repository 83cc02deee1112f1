"""TFDS builders: image pairs, wherever they come from, written once as ArrayRecord.

A record holds the bytes of its files as they were found, so nothing is lost or coded again:
one side-by-side image (A left, B right), or an A and a B.
"""

import dataclasses
import hashlib
import io
import os
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from pix2pix_jax.config import Data, UsageError
from pix2pix_jax.data.images import split_pair
from pix2pix_jax.data.synthetic import draw_facade

URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{name}.tar.gz"
SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
FEATURES = tfds.features.FeaturesDict(
    # Text features hold bytes, and unlike image features never ask for TensorFlow.
    {"name": tfds.features.Text(), "files": tfds.features.Sequence(tfds.features.Text())}
)


class Pair(NamedTuple):
    """Where one pair lies."""

    name: str  # unique in its split
    files: tuple[Path, ...]  # one side-by-side image, or A and B


@dataclasses.dataclass
class PairsConfig(tfds.core.BuilderConfig):
    """The pairs to write, and where they were found."""

    splits: dict[str, list[Pair]] = dataclasses.field(default_factory=dict, repr=False)
    source: str = ""


class PairedImages(tfds.core.GeneratorBasedBuilder):
    """The public sets and any folder: pairs of image files, every one decoded once as a check."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        metadata = tfds.core.MetadataDict(source=self.builder_config.source)
        return tfds.core.DatasetInfo(builder=self, features=FEATURES, metadata=metadata)

    def _split_generators(self, dl_manager) -> dict:
        splits = self.builder_config.splits
        return {split: self._generate_examples(split, pairs) for split, pairs in splits.items()}

    def _generate_examples(self, split: str, pairs: list[Pair]) -> Iterator[tuple[str, dict]]:
        digest = hashlib.sha256()
        for pair in pairs:
            files = [path.read_bytes() for path in pair.files]
            split_pair(files, " and ".join(map(str, pair.files)))
            for data in (pair.name.encode(), *files):
                digest.update(data)
            yield pair.name, {"name": pair.name, "files": files}
        self.info.metadata[f"sha256/{split}"] = digest.hexdigest()


@dataclasses.dataclass
class FacadesConfig(tfds.core.BuilderConfig):
    """Height and width of the pictures, and how many pairs in train, val and test."""

    size: tuple[int, int] = (256, 256)
    pairs: tuple[int, int, int] = (400, 100, 106)


class SyntheticFacades(tfds.core.GeneratorBasedBuilder):
    """Drawn facades, photo left and label map right, as in the CMP set; nothing to download."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=FEATURES)

    def _split_generators(self, dl_manager) -> dict:
        counts = zip(("train", "val", "test"), self.builder_config.pairs, strict=True)
        return {
            split: self._generate_examples(split, 1_000_000 * place, count)
            for place, (split, count) in enumerate(counts)
        }

    def _generate_examples(self, split: str, first: int, count: int) -> Iterator[tuple[str, dict]]:
        for index in range(count):
            photo, label = draw_facade(first + index, *self.builder_config.size)
            file = io.BytesIO()
            Image.fromarray(np.hstack([photo, label])).save(file, "PNG", compress_level=1)
            name = f"{split}-{index:04d}"
            yield name, {"name": name, "files": [file.getvalue()]}


def prepare(data: Data) -> tfds.core.DatasetBuilder:
    """The dataset, written under data.data_dir if it is not there yet.

    A dataset from a data.source is known by that source's files, so one that has changed is
    written anew, beside the old one.

    Raises:
      UsageError: naming the missing source, the failed download or the bad file.
    """
    data_dir = Path(data.data_dir).expanduser()
    if data.name == "synthetic_facades":
        size, pairs = data.image_size, data.synthetic_pairs
        name = f"{size[0]}x{size[1]}-{'-'.join(map(str, pairs))}"
        config = FacadesConfig(name=name, size=size, pairs=pairs)
        return _written(SyntheticFacades(data_dir=data_dir, config=config))
    if data.name == "folder" and not data.source:
        raise UsageError("data.source: folder needs one; give --config.data.source=DIR_OR_TAR")
    if data.source and not Path(data.source).exists():
        return _prepared_from(data.source, data.name, data_dir)
    name = f"{data.name}-{_stamp(Path(data.source))}" if data.source else data.name
    config = PairsConfig(name=name, source=data.source or URL.format(name=data.name))
    builder = PairedImages(data_dir=data_dir, config=config)
    if builder.data_path.exists():
        return builder
    source = Path(data.source) if data.source else download(data.name, data_dir)
    with unpacked(source, data_dir) as root:
        config.splits = find_pairs(root, str(source))
        return _written(PairedImages(data_dir=data_dir, config=config))


def _written(builder: tfds.core.DatasetBuilder) -> tfds.core.DatasetBuilder:
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        print(f"writing {builder.data_path}")
        with redirect_stdout(None):  # TFDS's own notices
            builder.download_and_prepare(file_format="array_record")
    except FileExistsError:  # another process has just written the same
        if not builder.data_path.exists():
            raise
    return builder


def _prepared_from(source: str, name: str, data_dir: Path) -> tfds.core.DatasetBuilder:
    """A source that is gone is served by what was prepared from it."""
    for path in sorted((data_dir / "paired_images").glob(f"{name}-*/*/dataset_info.json")):
        builder = tfds.builder_from_directory(path.parent)
        if builder.info.metadata["source"] == source:
            return builder
    raise UsageError(f"data.source: {source} does not exist, and {data_dir} holds no copy of it")


def _stamp(source: Path) -> str:
    """Twelve digits that change with the names, sizes and times of the source's files."""
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    digest = hashlib.sha256()
    for path in files:
        if path.is_file():
            place = path.relative_to(source.parent)
            digest.update(f"{place} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def download(name: str, data_dir: Path) -> Path:
    """The tarball of a public set, from where its authors keep it.

    Raises:
      UsageError: with the address, and what to do without it.
    """
    url = URL.format(name=name)
    try:
        urllib.request.urlopen(url, timeout=20).close()  # TFDS would retry for minutes
        manager = tfds.download.DownloadManager(download_dir=data_dir / "downloads")
        return Path(manager.download(url))
    except (OSError, tfds.download.DownloadError) as error:
        raise UsageError(
            f"{url}: cannot be downloaded ({error}); fetch it elsewhere and give "
            f"--config.data.source={name}.tar.gz"
        ) from error


@contextmanager
def unpacked(source: Path, scratch: Path) -> Iterator[Path]:
    """A directory as it is; a tarball as a directory that lasts for the `with` block.

    Raises:
      UsageError: a file that is no tarball, a broken one, or one that writes outside itself.
    """
    if source.is_dir():
        yield source
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacked-", dir=scratch) as root:
        try:
            with tarfile.open(source) as archive:
                archive.extractall(root, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise UsageError(
                f"{source}: cannot be unpacked as a tarball ({error}); fetch it again, or give "
                "the directory that it holds"
            ) from error
        yield Path(root)


def find_pairs(root: Path, source: str) -> dict[str, list[Pair]]:
    """The pairs of a directory by split, in the order of their names.

    A file is one side of a pair when a folder on its way is called A or B, and then its pair is
    the file of the same path and stem under the other letter; any other file is side by side.
    The split is the folder called train, val or test on its way. Without such folders, and
    where there is no val, every tenth pair in the order of a hash of their names is val.

    Raises:
      UsageError: no images, an A without its B, two files for one side.
    """
    files = [path for path in sorted(root.rglob("*")) if _is_image(path.relative_to(root))]
    if not files:
        raise UsageError(f"{source}: holds no images ({', '.join(sorted(SUFFIXES))})")
    top = Path(os.path.commonpath([path.parent for path in files]))
    splits: dict[str, dict[str, dict[str, Path]]] = {}
    for path in files:
        folders = path.relative_to(root).parts[:-1]
        side = next((folder for folder in reversed(folders) if folder in "AB"), "AB")
        split = next((folder for folder in folders if folder in SPLITS), "")
        # A pair is named from its split, or from the top folder, wherever that was unpacked.
        below = folders[folders.index(split) + 1 :] if split else path.relative_to(top).parts[:-1]
        name = "/".join([*(folder for folder in below if folder not in "AB"), path.stem])
        pair = splits.setdefault(SPLITS.get(split, ""), {}).setdefault(name, {})
        if side in pair:
            raise UsageError(f"{pair[side]}: has the name of {path.name}; keep one of the two")
        pair[side] = path
    return _with_validation({split: _pairs(files) for split, files in splits.items()}, source)


def _is_image(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _pairs(sides_by_name: dict[str, dict[str, Path]]) -> list[Pair]:
    for sides in sides_by_name.values():
        if len(sides) == 1 and "AB" not in sides:
            [(side, path)] = sides.items()
            missing = "B" if side == "A" else "A"
            raise UsageError(f"{path}: has no {missing} of the same name; add it or remove this")
    return [
        Pair(name, tuple(sides[side] for side in sorted(sides)))
        for name, sides in sorted(sides_by_name.items())
    ]


def _with_validation(splits: dict[str, list[Pair]], source: str) -> dict[str, list[Pair]]:
    loose = splits.pop("", [])
    train = splits.setdefault("train", loose)
    if not train:
        raise UsageError(f"{source}: has no images to train on; put them in a folder train/")
    if "val" not in splits:
        ranked = sorted(train, key=lambda pair: hashlib.sha256(pair.name.encode()).digest())
        tenth = max(1, len(ranked) // 10)
        # A single pair can still be learnt by heart: it is both.
        splits |= {"train": sorted(ranked[tenth:]) or ranked, "val": sorted(ranked[:tenth])}
    return splits


def fingerprint(builder: tfds.core.DatasetBuilder) -> str:
    """What tells the training pairs of one dataset from any other's."""
    metadata = builder.info.metadata or {}
    return metadata.get("sha256/train", f"{builder.info.full_name}")
