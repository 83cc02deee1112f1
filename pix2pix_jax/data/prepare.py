"""Preparing the dataset that a config names: it is found under data.data_dir, or written there."""

import errno
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path

import tensorflow_datasets as tfds

from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.archives import unpack
from pix2pix_jax.data.builders import (
    FacadesConfig,
    PairedImages,
    PairsConfig,
    SyntheticFacades,
    read_pair,
)
from pix2pix_jax.data.data_dir import INFO, DataDir
from pix2pix_jax.data.fingerprint import source_version
from pix2pix_jax.data.sources import download_archive, find_pairs
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.locks import folder_lock

URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{name}.tar.gz"


def prepare(data: Data) -> tfds.core.DatasetBuilder:
    """Finds the dataset of a config under data.data_dir; writes it if it is not there yet.

    The name of a dataset from data.source contains a hash of that source's files. So after a
    change of the source a new dataset is written beside the old one.

    Args:
      data: of a resolved config, so that the source is an absolute path.

    Returns:
      The builder to open splits of.

    Raises:
      UsageError: naming the missing source, the failed download or the broken file.
    """
    data_dir = DataDir.parse(data.data_dir)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with folder_lock(data_dir.path, wait=True) as locked:
        if locked:
            _remove_leftovers(data_dir)
        builder = _find_or_write(data, data_dir)
        data_dir.upload(_path_in_data_dir(builder, data_dir))
        return builder


def _remove_leftovers(data_dir: DataDir) -> None:
    """Removes what a killed process has half unpacked or half written."""
    shutil.rmtree(data_dir.unpacking, ignore_errors=True)
    for builder in (PairedImages, SyntheticFacades):
        for path in data_dir.path.glob(f"{builder.name}/*/incomplete.*"):
            shutil.rmtree(path, ignore_errors=True)


def _find_or_write(data: Data, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    if data.name == "synthetic_facades":
        return _prepare_facades(data, data_dir)
    if data.source is None:
        return _prepare_download(data.name, data_dir)
    source = Path(data.source)
    if not source.exists():
        return _find_last_prepared(source, data.name, data_dir)
    name = f"{data.name}-{source_version(source)}"
    return _prepare_source(source, name, str(source), data_dir)


def _prepare_facades(data: Data, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    (height, width), pairs, ambiguous = (
        data.image_size,
        data.synthetic_pairs,
        data.synthetic_ambiguous,
    )
    name = f"{height}x{width}-{'-'.join(map(str, pairs))}" + "-ambiguous" * ambiguous
    config = FacadesConfig(name=name, size=(height, width), pairs=pairs, ambiguous=ambiguous)
    builder = SyntheticFacades(data_dir=data_dir.path, config=config)
    return _open(builder) if _is_written(builder, data_dir) else _write(builder)


def _prepare_source(
    source: Path, name: str, origin: str, data_dir: DataDir
) -> tfds.core.DatasetBuilder:
    """Finds or writes the pairs of a directory or tarball.

    Args:
      source: the directory or tarball.
      name: of the dataset.
      origin: the path or URL by which the user knows the source.
      data_dir: where datasets are written.
    """
    config = PairsConfig(name=name, source=origin)
    builder = PairedImages(data_dir=data_dir.path, config=config)
    if _is_written(builder, data_dir):
        return _open(builder)
    with unpack(source, data_dir.unpacking) as root:
        config.root, config.splits = root, find_pairs(root, origin)
        print(f"{origin}: {_describe_pairs(config)}")
        return _write(PairedImages(data_dir=data_dir.path, config=config))


def _describe_pairs(config: PairsConfig) -> str:
    """A line that shows what was taken for pairs, so that single images are not cut unnoticed."""
    first = next(iter(config.splits.values()))[0]
    _, (a, b) = read_pair(first, config)
    counts = ", ".join(f"{len(pairs)} {split}" for split, pairs in config.splits.items())
    is_one_file = len(first.files) == 1
    form = "left and right half of one image" if is_one_file else "two images"
    sizes = f"{a.width}x{a.height} and {b.width}x{b.height}"
    doubt = ""
    if is_one_file and 2 * a.width <= a.height:
        doubt = "; are these pairs? two images side by side are seldom higher than wide"
    return f"{counts}; A and B are {form}, in {first.files[0].name} {sizes} (width x height){doubt}"


def _prepare_download(name: str, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    """Finds or downloads a public set."""
    if name == "folder":
        raise UsageError(
            "data.source: the dataset `folder` needs a source; give --config.data.source=DIR_OR_TAR"
        )
    url = URL.format(name=name)
    builder = PairedImages(data_dir=data_dir.path, config=PairsConfig(name=name, source=url))
    if _is_written(builder, data_dir):
        return _open(builder)
    archive = download_archive(url, data_dir.downloads)
    try:
        return _prepare_source(archive, name, url, data_dir)
    except UsageError:
        # A broken download must not stay, or TFDS would not download the file again.
        for path in archive.parent.glob(f"{archive.name}*"):
            path.unlink()
        raise


def _find_last_prepared(source: Path, name: str, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    """The dataset that was last prepared from a source that no longer exists."""
    data_dir.download(f"{PairedImages.name}/{name}-")
    infos = (data_dir.path / PairedImages.name).glob(f"{name}-*/*/{INFO}")
    for path in sorted(infos, key=lambda path: path.stat().st_mtime, reverse=True):
        builder = tfds.builder_from_directory(path.parent)
        if (builder.info.metadata or {}).get("source") == str(source):
            print(f"{source}: is gone; taking what was prepared from it, {builder.data_path}")
            return builder
    raise UsageError(f"data.source: {source} does not exist; mend the path")


def _path_in_data_dir(builder: tfds.core.DatasetBuilder, data_dir: DataDir) -> str:
    return f"{builder.data_path.relative_to(data_dir.path)}/"


def _is_written(builder: tfds.core.DatasetBuilder, data_dir: DataDir) -> bool:
    """Whether the dataset is complete on this machine, after a look in the bucket of data_dir."""
    if not (builder.data_path / INFO).exists():
        data_dir.download(_path_in_data_dir(builder, data_dir))
    return (builder.data_path / INFO).exists()


def _open(builder: tfds.core.DatasetBuilder) -> tfds.core.DatasetBuilder:
    """The builder of a written dataset, with the metadata of its files."""
    return tfds.builder_from_directory(builder.data_path)


def _write(builder: tfds.core.DatasetBuilder) -> tfds.core.DatasetBuilder:
    """Writes a dataset, and opens it."""
    shutil.rmtree(builder.data_path, ignore_errors=True)  # a download that was stopped half-way
    print(f"writing {builder.data_path}")
    try:
        with redirect_stdout(None):  # TFDS prints notices of its own
            builder.download_and_prepare(file_format="array_record")
    except RuntimeError as error:  # ArrayRecord raises it when the disk is full
        reason = f"cannot be written ({error}); make room"
        raise OSError(errno.ENOSPC, reason, str(builder.data_path)) from error
    return _open(builder)
