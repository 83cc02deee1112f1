"""TFDS builders: image pairs, wherever they come from, written once as ArrayRecord.

A record holds the bytes of its files as they were found, so nothing is lost or coded again:
one side-by-side image (A left, B right), or an A and a B.
"""

import dataclasses
import errno
import hashlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.archives import unpack
from pix2pix_jax.data.data_dir import INFO, DataDir
from pix2pix_jax.data.image_files import encode_png, read_bytes, split_pair
from pix2pix_jax.data.sources import Pair, display_name, download, find_pairs, walk
from pix2pix_jax.data.synthetic.paint import draw_facade
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.locks import folder_lock

MOST_NAMED = 5  # broken files in one line
URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{name}.tar.gz"
FEATURES = tfds.features.FeaturesDict(
    # Text features hold bytes, and unlike image features never ask for TensorFlow.
    {"name": tfds.features.Text(), "files": tfds.features.Sequence(tfds.features.Text())}
)


class _Info(tfds.core.DatasetInfo):
    """TFDS looks for its own copy of every new dataset, and leaves an empty folder in /tmp."""

    def initialize_from_bucket(self) -> None:
        pass


@dataclasses.dataclass
class PairsConfig(tfds.core.BuilderConfig):
    """The pairs to write, and where they were found."""

    splits: dict[str, list[Pair]] = dataclasses.field(default_factory=dict, repr=False)
    source: str = ""
    root: Path = Path()  # where the source is unpacked


class PairedImages(tfds.core.GeneratorBasedBuilder):
    """The public sets and any folder: pairs of image files, every one decoded once as a check."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        metadata = tfds.core.MetadataDict(source=self.builder_config.source)
        return _Info(builder=self, features=FEATURES, metadata=metadata)

    def _split_generators(self, dl_manager) -> dict:
        splits = self.builder_config.splits
        return {split: self._generate_examples(split, pairs) for split, pairs in splits.items()}

    def _generate_examples(self, split: str, pairs: list[Pair]) -> Iterator[tuple[str, dict]]:
        digest, broken = hashlib.sha256(), []
        for pair in pairs:
            try:
                files, _ = _read(pair, self.builder_config)
            except UsageError as error:  # so that all can be mended at once
                broken.append(str(error))
                continue
            for data in (pair.name.encode(), *files):
                digest.update(data)
            yield pair.name, {"name": pair.name, "files": files}
        if broken:
            more = f"; and {len(broken) - MOST_NAMED} more" if len(broken) > MOST_NAMED else ""
            raise UsageError("; ".join(broken[:MOST_NAMED]) + more)
        self.info.metadata[f"sha256/{split}"] = digest.hexdigest()


def _read(pair: Pair, config: PairsConfig) -> tuple[list[bytes], tuple[Image.Image, Image.Image]]:
    """The files of a pair, and A and B as they decode."""
    names = [display_name(path, config.root, config.source) for path in pair.files]
    files = [read_bytes(path, name) for path, name in zip(pair.files, names, strict=True)]
    return files, split_pair(files, names)


@dataclasses.dataclass
class FacadesConfig(tfds.core.BuilderConfig):
    """Height and width of the pictures, how many pairs in train, val and test, and which kind."""

    size: tuple[int, int] = (256, 256)
    pairs: tuple[int, int, int] = (400, 100, 106)
    ambiguous: bool = False


class SyntheticFacades(tfds.core.GeneratorBasedBuilder):
    """Drawn facades, photo left and label map right, as in the CMP set; nothing to download."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return _Info(builder=self, features=FEATURES)

    def _split_generators(self, dl_manager) -> dict:
        counts = zip(("train", "val", "test"), self.builder_config.pairs, strict=True)
        return {
            split: self._generate_examples(split, 1_000_000 * place, count)
            for place, (split, count) in enumerate(counts)
        }

    def _generate_examples(self, split: str, first: int, count: int) -> Iterator[tuple[str, dict]]:
        for index in range(count):
            config = self.builder_config
            photo, label = draw_facade(first + index, *config.size, config.ambiguous)
            pair = encode_png(Image.fromarray(np.hstack([photo, label])))
            name = f"{split}-{index:04d}"
            yield name, {"name": name, "files": [pair]}


def prepare(data: Data) -> tfds.core.DatasetBuilder:
    """The dataset, written under data.data_dir if it is not there yet.

    A dataset from a data.source is known by that source's files, so one that has changed is
    written anew, beside the old one.

    Args:
      data: of a resolved config, whose source is known from any folder.

    Raises:
      UsageError: naming the missing source, the failed download or the bad file.
    """
    data_dir = DataDir.parse(data.data_dir)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with folder_lock(data_dir.path, wait=True) as alone:
        if alone:
            _sweep(data_dir)
        builder = _prepared(data, data_dir)
        data_dir.upload(_place(builder, data_dir))
        return builder


def _sweep(data_dir: DataDir) -> None:
    """Removes what a killed process had half written."""
    ours = ("paired_images", "synthetic_facades")
    for path in (
        data_dir.unpacking,
        *(p for n in ours for p in data_dir.path.glob(f"{n}/*/incomplete.*")),
    ):
        shutil.rmtree(path, ignore_errors=True)


def _prepared(data: Data, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    if data.name == "synthetic_facades":
        size, pairs, ambiguous = data.image_size, data.synthetic_pairs, data.synthetic_ambiguous
        name = f"{size[0]}x{size[1]}-{'-'.join(map(str, pairs))}" + "-ambiguous" * ambiguous
        config = FacadesConfig(name=name, size=size, pairs=pairs, ambiguous=ambiguous)
        return _written(SyntheticFacades(data_dir=data_dir.path, config=config), data_dir)
    if data.source is None:
        return _from_download(data.name, data_dir)
    source = Path(data.source)
    if not source.exists():
        return _from_what_is_left(source, data.name, data_dir)
    return _from_source(source, f"{data.name}-{_stamp(source)}", str(source), data_dir)


def _from_source(
    source: Path, name: str, origin: str, data_dir: DataDir
) -> tfds.core.DatasetBuilder:
    config = PairsConfig(name=name, source=origin)
    builder = PairedImages(data_dir=data_dir.path, config=config)
    if _is_written(builder, data_dir):
        return _written(builder, data_dir)
    with unpack(source, data_dir.unpacking) as root:
        config.root, config.splits = root, find_pairs(root, origin)
        print(f"{origin}: {_findings(config)}")
        return _written(PairedImages(data_dir=data_dir.path, config=config), data_dir)


def _findings(config: PairsConfig) -> str:
    """What was taken for pairs: a folder of single images should not be cut into halves unseen."""
    first = next(iter(config.splits.values()))[0]
    _, (a, b) = _read(first, config)
    counts = ", ".join(f"{len(pairs)} {split}" for split, pairs in config.splits.items())
    form = "left and right half of one image" if len(first.files) == 1 else "two images"
    sizes = f"{a.width}x{a.height} and {b.width}x{b.height}"
    doubt = ""
    if len(first.files) == 1 and 2 * a.width <= a.height:
        doubt = "; are these pairs? two images side by side are seldom higher than wide"
    return f"{counts}; A and B are {form}, in {first.files[0].name} {sizes} (width x height){doubt}"


def _from_download(name: str, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    if name == "folder":
        raise UsageError("data.source: folder needs one; give --config.data.source=DIR_OR_TAR")
    url = URL.format(name=name)
    builder = PairedImages(data_dir=data_dir.path, config=PairsConfig(name=name, source=url))
    if _is_written(builder, data_dir):
        return _written(builder, data_dir)
    archive = download(url, data_dir.downloads)
    try:
        return _from_source(archive, name, url, data_dir)
    except UsageError:
        for path in archive.parent.glob(f"{archive.name}*"):  # not to be taken for it again
            path.unlink()
        raise


def _from_what_is_left(source: Path, name: str, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    """A source that is gone is served by what was last prepared from it."""
    data_dir.download(f"paired_images/{name}-")
    written = (data_dir.path / "paired_images").glob(f"{name}-*/*/{INFO}")
    for path in sorted(written, key=lambda path: path.stat().st_mtime, reverse=True):
        builder = tfds.builder_from_directory(path.parent)
        if builder.info.metadata["source"] == str(source):
            print(f"{source}: is gone; taking what was prepared from it, {builder.data_path}")
            return builder
    raise UsageError(f"data.source: {source} does not exist; mend the path")


def _is_written(builder: tfds.core.DatasetBuilder, data_dir: DataDir) -> bool:
    """Whether the dataset is here, or was in the bucket that the folder stands for."""
    if not (builder.data_path / INFO).exists():
        data_dir.download(_place(builder, data_dir))
    return (builder.data_path / INFO).exists()


def _place(builder: tfds.core.DatasetBuilder, data_dir: DataDir) -> str:
    return f"{builder.data_path.relative_to(data_dir.path)}/"


def _written(builder: tfds.core.DatasetBuilder, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    if not _is_written(builder, data_dir):
        shutil.rmtree(builder.data_path, ignore_errors=True)  # half fetched, and now gone there
        print(f"writing {builder.data_path}")
        try:
            with redirect_stdout(None):  # TFDS's own notices
                builder.download_and_prepare(file_format="array_record")
        except RuntimeError as error:  # as ArrayRecord calls a full disk
            reason = f"cannot be written ({error}); make room"
            raise OSError(errno.ENOSPC, reason, str(builder.data_path)) from error
    return tfds.builder_from_directory(builder.data_path)


def _stamp(source: Path) -> str:
    """Twelve digits that change with the names, sizes and times of the source's files."""
    digest = hashlib.sha256()
    for path in walk(source) if source.is_dir() else [source]:
        place = path.relative_to(source.parent)
        digest.update(f"{place} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def fingerprint(
    builder: tfds.core.DatasetBuilder, splits: tuple[str, ...] = ("train", "val")
) -> str:
    """What tells pairs, say those that a run trains on and is watched by, from any others."""
    metadata = builder.info.metadata
    if not metadata:  # drawn, so the name says it all
        return builder.info.full_name
    digests = (f"sha256/{split}" for split in splits)
    return " ".join(metadata[digest] for digest in digests if digest in metadata)
