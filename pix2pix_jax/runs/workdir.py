"""The folders of a run and of a sweep, with every path inside them."""

from dataclasses import dataclass
from pathlib import Path

from pix2pix_jax.runtime.storage.files import split_location

PICTURE_KINDS = ("input", "output", "target")  # the pictures that an evaluation keeps of a pair


@dataclass(frozen=True)
class Workdir:
    """The folder of one run.

    Attributes:
      path: the folder on this machine.
      address: gs://BUCKET/DIR if the run is in that folder of a bucket, and `path` is its local
        copy; None if the run is on this machine only.
    """

    path: Path
    address: str | None = None

    @classmethod
    def parse(cls, location: str) -> "Workdir":
        """The workdir that the user named.

        Args:
          location: a path, or an address gs://BUCKET/DIR.

        Raises:
          UsageError: the address is not gs://BUCKET/DIR, or the home folder is not known.
        """
        return cls(*split_location(location))

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """The last two folders, for titles: a sweep has many runs called "seed0"."""
        return "/".join(self.path.resolve().parts[-2:])

    @property
    def config_file(self) -> Path:
        """The resolved config, JSON."""
        return self.path / "config.json"

    @property
    def metrics_file(self) -> Path:
        """One JSON object for every logged step."""
        return self.path / "metrics.jsonl"

    @property
    def not_finite_file(self) -> Path:
        """The pairs of the step at which a loss or gradient was not finite."""
        return self.path / "not_finite.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of all checkpoints."""
        return self.path / "checkpoints"

    def checkpoint(self, step: int | str) -> Path:
        """The folder of the checkpoint of a step."""
        return self.checkpoints / str(step)

    @property
    def rejected_folder(self) -> Path:
        """The folder that damaged checkpoints are moved to."""
        return self.path / "rejected"

    @property
    def samples_folder(self) -> Path:
        """The folder of all sample grids."""
        return self.path / "samples"

    def sample_file(self, step: int) -> Path:
        """The sample grid of a step, PNG."""
        return self.samples_folder / f"step_{step:08d}.png"

    def sample_steps(self) -> list[int]:
        """The steps that have a sample grid, in order."""
        names = [path.stem.removeprefix("step_") for path in self.samples_folder.glob("step_*.png")]
        return sorted(int(name) for name in names)

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def report_folder(self) -> Path:
        """The folder of all pages."""
        return self.path / "report"

    @property
    def report_page(self) -> Path:
        """The page of the training run."""
        return self.report_folder / "index.html"

    def evaluation_file(self, split: str) -> Path:
        """The metrics of a split, JSON."""
        return self.path / f"evaluation_{split}.json"

    def evaluation_page(self, split: str) -> Path:
        """The page of an evaluation."""
        return self.report_folder / f"evaluation_{split}.html"

    def evaluation_pictures(self, split: str) -> Path:
        """The folder of an evaluation's pictures: input/NAME.png, output/NAME.png, ..."""
        return self.report_folder / f"evaluation_{split}"

    def evaluation_picture(self, split: str, kind: str, pair: str) -> Path:
        """A picture of a pair; see `picture_file`."""
        return picture_file(self.evaluation_pictures(split), kind, pair)

    @property
    def failure_file(self) -> Path:
        """Why a variant of a sweep failed, one line of text."""
        return self.path / "failed.txt"

    @property
    def benchmark_file(self) -> Path:
        """The numbers of a benchmark, JSON."""
        return self.path / "benchmark.json"

    @property
    def benchmark_page(self) -> Path:
        """The page of a benchmark."""
        return self.report_folder / "benchmark.html"


def picture_file(pictures: Path, kind: str, pair: str) -> Path:
    """A picture of a pair, PNG.

    Args:
      pictures: the folder of an evaluation's pictures; it has another name while it is written.
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
        """All results, JSON."""
        return self.path / "results.json"

    @property
    def table_file(self) -> Path:
        """The table of results, Markdown."""
        return self.path / "results.md"

    @property
    def report_page(self) -> Path:
        """The page of the sweep."""
        return self.path / "report" / "index.html"

    @property
    def own_names(self) -> set[str]:
        """Names of the files and folders next to the workdirs; no variant may have such a name."""
        paths = (self.results_file, self.table_file, self.report_page)
        return {path.relative_to(self.path).parts[0] for path in paths}
