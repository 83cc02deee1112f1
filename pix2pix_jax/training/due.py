"""What is due after a step, according to the intervals of a config."""

from dataclasses import dataclass

from pix2pix_jax.config.schema import Train


@dataclass(frozen=True)
class Due:
    """What is due after a step. After the last step, everything with an interval above 0 is due.

    Attributes:
      log: a log line with the means of all metrics since the last regular log line.
      sample: the sample grid, and the report.
      checkpoint: a checkpoint.
      evaluate: the metrics of the validation split, saved with a checkpoint.
    """

    log: bool
    sample: bool
    checkpoint: bool
    evaluate: bool

    @classmethod
    def after(cls, step: int, train: Train) -> "Due":
        """What is due after `step` completed steps."""

        def is_due(every: int) -> bool:
            return every > 0 and (step % every == 0 or step == train.steps)

        return cls(
            log=is_due(train.log_every),
            sample=is_due(train.sample_every),
            checkpoint=is_due(train.checkpoint_every),
            evaluate=is_due(train.evaluate_every),
        )

    @property
    def any(self) -> bool:
        """Whether anything is due."""
        return self.line or self.save

    @property
    def line(self) -> bool:
        """Whether a line is written to metrics.jsonl, with or without means."""
        return self.log or self.sample or self.evaluate

    @property
    def save(self) -> bool:
        """Whether a checkpoint is saved. Evaluated steps are saved, too."""
        return self.checkpoint or self.evaluate
