"""The folders of a run and of a sweep, with every path inside them."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pix2pix_jax.runtime.storage.files import CONFIG_NAME, METRICS_NAME, split_location

PICTURE_KINDS = ("input", "output", "target")  # the pictures of a pair that an evaluation keeps


@dataclass(frozen=True)
class Workdir:
    """The folder of one run.

    Attributes:
      path: the folder on this machine.
      address: gs://BUCKET/DIR if the run is in a bucket and `path` is its local copy; None if the
        run is only on this machine.
    """

    path: Path
    address: str | None = None

    @classmethod
    def parse(cls, location: str) -> "Workdir":
        """Makes a Workdir from the path or address that the user gave.

        Args:
          location: a path, or an address gs://BUCKET/DIR.

        Raises:
          UsageError: the address is not gs://BUCKET/DIR, or the home folder is not known.
        """
        return cls(*split_location(location))

    def __str__(self) -> str:
        return self.location

    @property
    def location(self) -> str:
        """The path or the address of the run, as a flag takes it."""
        return self.address or str(self.path)

    @property
    def name(self) -> str:
        """The last two parts of the path, as a title; the last part alone may be only "seed0"."""
        return "/".join(self.path.resolve().parts[-2:])

    @property
    def config_file(self) -> Path:
        """The file of the resolved config, JSON."""
        return self.path / CONFIG_NAME

    @property
    def pairs_file(self) -> Path:
        """The file of the facts about the pairs of the run, JSON."""
        return self.path / "pairs.json"

    @property
    def pair_names_file(self) -> Path:
        """The file of the names of the pairs that the run is trained on, JSON."""
        return self.path / "pair_names.json"

    @property
    def metrics_file(self) -> Path:
        """The log of the metrics, with one JSON object for each logged step."""
        return self.path / METRICS_NAME

    @property
    def not_finite_file(self) -> Path:
        """The file that names the pairs of the step at which a metric was not finite, JSON."""
        return self.path / "not_finite.json"

    @property
    def checkpoints_folder(self) -> Path:
        """The folder of all checkpoints."""
        return self.path / "checkpoints"

    def checkpoint(self, step: int | str) -> Path:
        """The folder of the checkpoint of a step."""
        return self.checkpoints_folder / str(step)

    def checkpoint_steps(self) -> list[int]:
        """The steps of all checkpoints, in ascending order; empty if there is no such folder.

        Raises:
          OSError: the folder cannot be read, or is a file.
        """
        with suppress(FileNotFoundError):
            names = [path.name for path in self.checkpoints_folder.iterdir()]
            return sorted(int(name) for name in names if name.isdecimal())
        return []

    @property
    def rejected_folder(self) -> Path:
        """The folder that damaged checkpoints are moved to."""
        return self.path / "rejected"

    @property
    def samples_folder(self) -> Path:
        """The folder of all sample grids."""
        return self.path / "samples"

    def sample_file(self, step: int) -> Path:
        """The file of the sample grid of a step, PNG."""
        return self.samples_folder / f"step_{step:08d}.png"

    def sample_steps(self) -> list[int]:
        """The steps that have a sample grid, in order."""
        names = [path.stem.removeprefix("step_") for path in self.samples_folder.glob("step_*.png")]
        return sorted(int(name) for name in names)

    @property
    def tensorboard_folder(self) -> Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def report_folder(self) -> Path:
        """The folder of all HTML pages of the run."""
        return self.path / "report"

    @property
    def report_samples_folder(self) -> Path:
        """The folder of the sample grids in the report, which can be copied without the workdir."""
        return self.report_folder / "samples"

    def report_sample_file(self, step: int) -> Path:
        """The file of the sample grid of a step in the report, PNG."""
        return self.report_samples_folder / self.sample_file(step).name

    @property
    def report_page(self) -> Path:
        """The page of the training run, HTML."""
        return self.report_folder / "index.html"

    def evaluation_file(self, split: str) -> Path:
        """The file of the metrics of a split, JSON."""
        return self.path / f"evaluation_{split}.json"

    def evaluation_page(self, split: str) -> Path:
        """The page of the evaluation of a split, HTML."""
        return self.report_folder / f"evaluation_{split}.html"

    def evaluation_pictures_folder(self, split: str) -> Path:
        """The folder of an evaluation's pictures: input/NAME.png, output/NAME.png, ..."""
        return self.report_folder / f"evaluation_{split}"

    def evaluation_picture(self, split: str, kind: str, pair: str) -> Path:
        """The file of a picture of a pair; see `picture_file`."""
        return picture_file(self.evaluation_pictures_folder(split), kind, pair)

    @property
    def failure_file(self) -> Path:
        """The file that says in one line why a variant of a sweep failed."""
        return self.path / "failed.txt"

    @property
    def benchmark_file(self) -> Path:
        """The file of the results of a benchmark, JSON."""
        return self.path / "benchmark.json"

    @property
    def benchmark_page(self) -> Path:
        """The page of a benchmark, HTML."""
        return self.report_folder / "benchmark.html"


def picture_file(pictures: Path, kind: str, pair: str) -> Path:
    """The file of a picture of a pair, PNG.

    Args:
      pictures: the folder of an evaluation's pictures, which has another name until it is complete.
      kind: one of PICTURE_KINDS.
      pair: the name of the pair.
    """
    return pictures / kind / f"{pair}.png"


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep, with the workdir of every variant in it."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def workdir(self, name: str) -> Workdir:
        """The workdir of a variant."""
        return Workdir(self.path / name)

    @property
    def results_file(self) -> Path:
        """The file of all results, JSON."""
        return self.path / "results.json"

    @property
    def table_file(self) -> Path:
        """The file of the table of results, Markdown."""
        return self.path / "results.md"

    @property
    def report_page(self) -> Path:
        """The page of the sweep, HTML."""
        return self.path / "report" / "index.html"

    def report_picture(self, workdir: Workdir, kind: str, pair: str) -> Path:
        """The file of a picture of a pair in the report; see `picture_file`."""
        pictures = self.report_page.parent / "pictures" / workdir.path.relative_to(self.path)
        return picture_file(pictures, kind, pair)

    @property
    def own_names(self) -> set[str]:
        """The names of the sweep's own files and folders, which no variant may have."""
        paths = (self.results_file, self.table_file, self.report_page)
        return {path.relative_to(self.path).parts[0] for path in paths}
