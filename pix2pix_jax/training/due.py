"""Decides which outputs are due after a step, according to the intervals of a config."""

from dataclasses import dataclass

from pix2pix_jax.config.schema import Train


@dataclass(frozen=True)
class Due:
    """The outputs that are due after a step.

    After the last step, all outputs with an interval above 0 are due.

    Attributes:
      log: whether a log line with the means of all metrics since the last log line is due.
      sample: whether the sample grid and the report are due.
      checkpoint: whether a checkpoint is due.
      evaluate: whether an evaluation of the validation split, with a checkpoint, is due.
    """

    log: bool
    sample: bool
    checkpoint: bool
    evaluate: bool

    @classmethod
    def after(cls, step: int, train: Train) -> "Due":
        """The outputs that are due after `step` completed steps."""

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
        """Whether any output is due."""
        return self.line or self.save

    @property
    def line(self) -> bool:
        """Whether a line of metrics.jsonl is due, with or without means."""
        return self.log or self.sample or self.evaluate

    @property
    def save(self) -> bool:
        """Whether a checkpoint is due; an evaluated step is always saved."""
        return self.checkpoint or self.evaluate
