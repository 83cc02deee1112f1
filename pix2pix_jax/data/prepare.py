"""Prepares the dataset of a config: finds the dataset under data.data_dir, or writes it there."""

import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import tensorflow_datasets as tfds

from pix2pix_jax.config.schema import Data, Form
from pix2pix_jax.data.archives.parts import describe_other_parts
from pix2pix_jax.data.archives.unpack import unpack
from pix2pix_jax.data.builders import (
    FacadesConfig,
    PairedImages,
    PairsConfig,
    SyntheticFacades,
)
from pix2pix_jax.data.contents.single_pictures import (
    PictureFile,
    check_pictures,
    read_picture_file,
    refuse_one_side,
    warn_of_pictures,
)
from pix2pix_jax.data.data_dir import INFO, DataDir
from pix2pix_jax.data.download import download_archive
from pix2pix_jax.data.fingerprint import VERSION_DIGITS, source_version
from pix2pix_jax.data.layout.pairs import FoundPairs, find_pairs
from pix2pix_jax.data.layout.roles import PairFiles
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.old_datasets import check_old_layout
from pix2pix_jax.data.records import open_dataset, write_dataset
from pix2pix_jax.errors import UsageError, make_printable
from pix2pix_jax.runtime.console import progress_bar, say
from pix2pix_jax.runtime.storage.locks import folder_lock
from pix2pix_jax.suggestions import fix_path

URL = "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{name}.tar.gz"


def prepare(data: Data) -> tfds.core.DatasetBuilder:
    """Finds the dataset of a config under data.data_dir; writes it if it is not there yet.

    The name of a dataset from data.source contains a hash of the files of the source. When the
    source changes, a new dataset is written, and the old dataset stays.

    Raises:
      UsageError: the source does not exist or has no pairs, the download failed, the bucket of
        data.data_dir cannot be reached, or files are broken.
      OSError: the disk is full, or the dataset cannot be written for another reason.
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


def is_local(data: Data) -> bool:
    """Whether the pairs of a config are on this machine, so that nothing must be downloaded."""
    if data.source is not None or data.name == "synthetic_facades":
        return True
    config = PairsConfig(name=data.name, source=Source(Path(), URL.format(name=data.name)))
    builder = PairedImages(data_dir=DataDir.parse(data.data_dir).path, config=config)
    return (builder.data_path / INFO).exists()


def _remove_leftovers(data_dir: DataDir) -> None:
    """Removes the unfinished folders of killed processes."""
    shutil.rmtree(data_dir.unpack_folder, ignore_errors=True)
    for builder in (PairedImages, SyntheticFacades):
        for path in data_dir.path.glob(f"{builder.name}/*/incomplete.*"):
            shutil.rmtree(path, ignore_errors=True)


def _find_or_write(data: Data, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    if data.name == "synthetic_facades":
        return _prepare_facades(data, data_dir)
    if data.source is None:
        check_source(data)
        return _prepare_download(data.name, data_dir)
    source = Path(data.source)
    if not source.exists():
        builder = _find_last_prepared(source, data, data_dir)
        say(
            f"{source}: does not exist any more; using {builder.data_path}, the dataset that was "
            "prepared from this source"
        )
        return builder
    for with_path in (False, True):
        # The name contains data.form, because the form decides which files are pairs.
        name = f"{data.name}-{source_version(source, with_path)}{_form_suffix(data)}"
        config = PairsConfig(name=name, source=Source(source, str(source)))
        written = _open_written(PairedImages(data_dir=data_dir.path, config=config), data_dir)
        # Copies of a folder have equal names, sizes and times, even if their pixels differ.
        if written is None or (written.info.metadata or {}).get("source") == str(source):
            break
    if written is None:
        return _write_pairs(config, data.form, data_dir)
    check_old_layout(written, source, data.form)
    return written


def _form_suffix(data: Data) -> str:
    """The end of the names of datasets that depend on data.form."""
    return f"-{data.form}" if data.form else ""


def _prepare_facades(data: Data, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    """Finds or draws the facades of a config."""
    (height, width), pairs = data.image_size, data.synthetic_pairs
    name = f"{height}x{width}-{'-'.join(map(str, pairs))}"
    if data.synthetic_ambiguous:
        name += "-ambiguous"
    config = FacadesConfig(
        name=name, size=(height, width), pairs=pairs, ambiguous=data.synthetic_ambiguous
    )
    builder = SyntheticFacades(data_dir=data_dir.path, config=config)
    return _open_written(builder, data_dir) or write_dataset(builder)


def _write_pairs(
    config: PairsConfig, form: Form | None, data_dir: DataDir, is_public: bool = False
) -> tfds.core.DatasetBuilder:
    """Writes the pairs of a folder or archive.

    Args:
      config: the name of the dataset, and its source.
      form: data.form.
      data_dir: where datasets are written.
      is_public: whether this is a public set, whose files are known to be pairs.
    """
    other_parts = describe_other_parts(config.source.root)
    with unpack(config.source.root, data_dir.unpack_folder) as root:
        source = replace(config.source, root=root)
        found = find_pairs(source, form)
        config = replace(config, source=source, splits=found.splits, form=found.form)
        lines = [*other_parts, *found.lines()]
        if found.form == "halves" and form is None:
            refuse_one_side(source)
            left_out, doubts = check_pictures(_measure_files(found, source), source)
            config = replace(config, splits=_without(left_out, found.splits))
            lines += doubts
        elif found.form == "halves" and not is_public:
            lines += warn_of_pictures(_measure_files(found, source), source)
        counts = ", ".join(f"{len(pairs)} {split}" for split, pairs in config.splits.items())
        for line in (f"{counts} pairs", *lines):
            # File names may contain control characters.
            say(make_printable(f"{source.name}: {line}"))
        return write_dataset(PairedImages(data_dir=data_dir.path, config=config))


def _without(left_out: set[Path], splits: dict[str, list[PairFiles]]) -> dict[str, list[PairFiles]]:
    """The pairs by split without some side-by-side files, and without splits that become empty."""
    kept = {
        split: [pair for pair in pairs if pair.files[0] not in left_out]
        for split, pairs in splits.items()
    }
    return {split: pairs for split, pairs in kept.items() if pairs}


def _measure_files(found: FoundPairs, source: Source) -> dict[str, list[PictureFile]]:
    """The side-by-side files by split with their sizes. Files that cannot be read are left out.

    If a part of train became val, its files count as train.
    """
    paths: dict[str, set[Path]] = {}
    for split, pairs in found.splits.items():
        is_train = split == "val" and found.is_val_from_train
        paths.setdefault("train" if is_train else split, set()).update(p.files[0] for p in pairs)
    files: dict[str, list[PictureFile]] = {}
    for split, of_split in paths.items():
        for path in progress_bar(sorted(of_split), desc=f"Sizes of {split}", leave=False):
            with suppress(UsageError):  # One error at the end names all broken files.
                files.setdefault(split, []).append(read_picture_file(path, source))
    return files


def _prepare_download(name: str, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    """Finds a public set, or downloads and writes it."""
    url = URL.format(name=name)
    config = PairsConfig(name=name, source=Source(Path(), url))
    builder = PairedImages(data_dir=data_dir.path, config=config)
    if written := _open_written(builder, data_dir):
        return written
    archive = download_archive(url, data_dir.downloads)
    try:
        config = replace(config, source=Source(archive, url))
        return _write_pairs(config, "halves", data_dir, is_public=True)
    except UsageError:  # The archive is broken. If it stayed, TFDS would not download it again.
        for path in archive.parent.glob(f"{archive.name}*"):
            path.unlink()
        raise


def check_source(data: Data) -> None:
    """Checks that there is a source, or a dataset that was prepared from it; writes nothing.

    If data.data_dir is a bucket, only `prepare` finds the datasets of a missing source.

    Raises:
      UsageError: data.source is missing, or does not exist and was never prepared.
    """
    if data.source is not None:
        source, data_dir = Path(data.source), DataDir.parse(data.data_dir)
        if not source.exists() and data_dir.address is None:
            _find_last_prepared(source, data, data_dir)
    elif data.name == "folder":
        raise UsageError(
            "data.source: the dataset `folder` needs a source",
            "give --config.data.source=FOLDER_OR_ARCHIVE",
        )


def _find_last_prepared(source: Path, data: Data, data_dir: DataDir) -> tfds.core.DatasetBuilder:
    """Finds the dataset that was prepared last from a source that no longer exists."""
    data_dir.download(f"{PairedImages.name}/{data.name}-")
    version = f"{'[0-9a-f]' * VERSION_DIGITS}{_form_suffix(data)}"
    infos = (data_dir.path / PairedImages.name).glob(f"{data.name}-{version}/*/{INFO}")
    for path in sorted(infos, key=lambda path: path.stat().st_mtime, reverse=True):
        builder = tfds.builder_from_directory(path.parent)
        if (builder.info.metadata or {}).get("source") == str(source):
            return builder
    raise UsageError(f"data.source: {source} does not exist", fix_path(source))


def _path_in_data_dir(builder: tfds.core.DatasetBuilder, data_dir: DataDir) -> str:
    return f"{builder.data_path.relative_to(data_dir.path)}/"


def _open_written(
    builder: tfds.core.DatasetBuilder, data_dir: DataDir
) -> tfds.core.DatasetBuilder | None:
    """Opens a dataset that is on this machine or in the bucket; None if it is not written yet."""
    info = builder.data_path / INFO
    if not info.exists():
        data_dir.download(_path_in_data_dir(builder, data_dir))
    return open_dataset(builder) if info.exists() else None
