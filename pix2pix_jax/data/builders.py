"""TFDS builders that write pairs as ArrayRecord: pairs of image files, and drawn pairs.

A record contains the unchanged bytes of its image files: one image with A on the left and B on the
right, or one image for A and one image for B.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from pix2pix_jax.config.schema import SPLITS, Form
from pix2pix_jax.data.contents.collector import ContentsCollector
from pix2pix_jax.data.contents.facts import METADATA_KEY
from pix2pix_jax.data.images.decoded_image import DecodedImage, split_pair
from pix2pix_jax.data.images.image_files import encode_png, read_bytes
from pix2pix_jax.data.images.image_reader import read_image, record_bytes
from pix2pix_jax.data.layout.roles import PairFiles
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.synthetic.paint import draw_facade
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import MAX_NAMED, plural

# Each split has its own seeds: train starts at 0, val at one million, test at two million.
SEEDS_PER_SPLIT = 1_000_000
FEATURES = tfds.features.FeaturesDict(
    # A text feature can contain any bytes. An image feature would import TensorFlow.
    {"name": tfds.features.Text(), "files": tfds.features.Sequence(tfds.features.Text())}
)
Records = Iterator[tuple[str, dict[str, Any]]]  # the name of each pair, and its record


class _DatasetInfo(tfds.core.DatasetInfo):
    """Dataset information that is never looked up in the public bucket of TFDS.

    TFDS would look for every new dataset in that bucket, and would leave a folder in /tmp.
    """

    def initialize_from_bucket(self) -> None:
        pass


@dataclass
class PairsConfig(tfds.core.BuilderConfig):
    """The pairs to write, and where they were found.

    Attributes:
      source: the source of the pairs.
      splits: the pairs by split; only needed to write the dataset, as is `form`.
      form: halves if each file shows both sides, folders if each file shows one side.
    """

    source: Source = Source(Path(), "")
    splits: dict[str, list[PairFiles]] = field(default_factory=dict, repr=False)
    form: Form = "halves"


class PairedImages(tfds.core.GeneratorBasedBuilder):
    """The builder of a dataset of image files, from a public set or from any folder.

    Every pair is decoded when it is written, so that broken files are found.
    TFDS makes the name of the dataset's folder, `paired_images`, from the name of this class.
    """

    VERSION = tfds.core.Version("1.0.0")

    @property
    def pairs_config(self) -> PairsConfig:
        """The config that the builder was made with."""
        assert isinstance(self.builder_config, PairsConfig)
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        metadata = tfds.core.MetadataDict(source=self.pairs_config.source.name)
        return _DatasetInfo(builder=self, features=FEATURES, metadata=metadata)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Records]:
        config = self.pairs_config
        collector = ContentsCollector(config.form)
        return {
            split: self._generate_examples(split, pairs, collector)
            for split, pairs in config.splits.items()
        }

    def _generate_examples(
        self, split: str, pairs: list[PairFiles], collector: ContentsCollector
    ) -> Records:
        digest, broken = hashlib.sha256(), []
        for pair in pairs:
            try:
                decoded = read_pair(pair, self.pairs_config.source)
            except UsageError as error:  # One error at the end names all broken files.
                broken.append(_with_partner(error, pair, self.pairs_config.source))
                continue
            name = self.pairs_config.source.name_of(pair.files[0])
            collector.add(split, name, decoded.a, decoded.b, decoded.width)
            for data in (pair.name.encode(), *decoded.files):
                digest.update(data)
            yield pair.name, {"name": pair.name, "files": decoded.files}
        if broken:
            others = len(broken) - MAX_NAMED
            more = f"; and {plural(others, 'more file')} cannot be used" if others > 0 else ""
            raise UsageError("; ".join(broken[:MAX_NAMED]) + more)
        assert self.info.metadata is not None
        self.info.metadata[f"sha256/{split}"] = digest.hexdigest()
        if split == list(self.pairs_config.splits)[-1]:
            self.info.metadata[METADATA_KEY] = collector.finish().to_json()


def _with_partner(error: UsageError, pair: PairFiles, source: Source) -> str:
    """The line about a broken file of a pair, with the partner that must be removed as well."""
    names = [source.display_name(path) for path in pair.files]
    partners = [name for name in names if not error.problem.startswith(f"{name}:")]
    if len(names) == 2 and len(partners) == 1 and "remove" in error.fix:
        return f"{error}, and then {partners[0]} as well, because it is the partner"
    return str(error)


class DecodedPair(NamedTuple):
    """A pair that was read from its files.

    Attributes:
      files: the bytes of the files, as a record contains them.
      a: the image A.
      b: the image B.
      width: the width in pixels of the file with A. In a side-by-side file, A is the left half.
    """

    files: list[bytes]
    a: DecodedImage
    b: DecodedImage
    width: int


def read_pair(pair: PairFiles, source: Source) -> DecodedPair:
    """Reads the files of a pair, and finds A and B in them.

    Raises:
      UsageError: a file is broken or too large; the message names the file.
    """
    names = [source.display_name(path) for path in pair.files]
    contents = [read_bytes(path, name) for path, name in zip(pair.files, names, strict=True)]
    images = [read_image(data, name) for data, name in zip(contents, names, strict=True)]
    files = [record_bytes(data, image) for data, image in zip(contents, images, strict=True)]
    return DecodedPair(files, *split_pair(images, names), width=images[0].pixels.shape[1])


@dataclass(kw_only=True)
class FacadesConfig(tfds.core.BuilderConfig):
    """The facades to draw.

    Attributes:
      size: height and width of each image, in pixels.
      pairs: the numbers of pairs in train, val and test.
      ambiguous: whether photos have a random style and brightness that label maps do not show.
    """

    size: tuple[int, int]
    pairs: tuple[int, int, int]
    ambiguous: bool


class SyntheticFacades(tfds.core.GeneratorBasedBuilder):
    """The builder of a dataset of drawn facades; nothing is downloaded.

    The photo is on the left and the label map on the right, as in the CMP set.
    TFDS makes the name of the dataset's folder, `synthetic_facades`, from the name of this class.
    """

    VERSION = tfds.core.Version("1.0.0")

    @property
    def facades_config(self) -> FacadesConfig:
        """The config that the builder was made with."""
        assert isinstance(self.builder_config, FacadesConfig)
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        return _DatasetInfo(builder=self, features=FEATURES)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Records]:
        counts = zip(SPLITS, self.facades_config.pairs, strict=True)
        return {
            split: self._generate_examples(split, SEEDS_PER_SPLIT * number, count)
            for number, (split, count) in enumerate(counts)
        }

    def _generate_examples(self, split: str, first_seed: int, count: int) -> Records:
        (height, width), ambiguous = self.facades_config.size, self.facades_config.ambiguous
        for index in range(count):
            photo, label = draw_facade(first_seed + index, height, width, ambiguous)
            pair = encode_png(Image.fromarray(np.hstack([photo, label])))  # [height, 2 * width, 3]
            name = f"{split}-{index:04d}"
            yield name, {"name": name, "files": [pair]}
