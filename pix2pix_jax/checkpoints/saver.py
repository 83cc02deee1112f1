"""Saves that may fail: the run goes on unsaved, says so, and tries again, though not for ever."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import orbax.checkpoint as ocp

from pix2pix_jax.checkpoints import store as checkpoint
from pix2pix_jax.checkpoints.reader import saved_steps
from pix2pix_jax.config.schema import Train
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.state import TrainState
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import print_above_bar

PAUSE = 10  # seconds after which the last save of a run, when it failed, is tried again


@contextmanager
def open_saver(
    workdir: Workdir, options: Train
) -> Iterator[tuple[Callable[..., None], Callable[..., None]]]:
    """Opens the checkpoints of a run for writing; what is being written at the end is waited for.

    Yields:
      save(state, totals, data, scores, last=False): begins what `checkpoint.save` does. The last
        save of a run is waited for, and tried again until there is no more hope.
      look(): tells of a save that failed since; to be called after every step.

    Both raise UsageError when train.max_failed_saves in a row have failed.
    """
    manager: ocp.CheckpointManager | None = None
    saving: int | None = None  # the step that is being written
    failed = 0  # in a row

    def close() -> None:
        nonlocal manager
        if manager is not None:
            with suppress(Exception):  # which was told
                manager.close()
        manager = None

    def succeeds(step: int, call: Callable[..., object], *arguments: object) -> bool:
        nonlocal failed
        try:
            with checkpoint.write_errors(workdir):
                call(*arguments)
        except checkpoint.SaveFailed as error:
            close()
            checkpoint.remove_unfinished(workdir)  # which takes room that others need
            newest = max(saved_steps(workdir), default=0)
            if newest == step:
                print_above_bar(
                    f"{workdir.checkpoints}: step {step} is saved, but what is no longer to be "
                    f"kept could not be removed ({error.reason})",
                    sys.stderr,
                )
                return True
            failed += 1
            text = f"{workdir.checkpoints}: step {step} is NOT SAVED ({error.reason}), "
            if failed >= options.max_failed_saves:
                raise UsageError(
                    f"{text} {failed} failed in a row; make room there, then the same command goes "
                    f"on from step {newest}"
                ) from error
            print_above_bar(
                f"{text}{failed} of train.max_failed_saves {options.max_failed_saves}; make room "
                f"there: training goes on, but what came after step {newest} could be lost",
                sys.stderr,
            )
            return False
        return True

    def begin(*arguments: object) -> None:
        nonlocal manager
        if manager is None:
            manager = checkpoint.make_manager(workdir, options.keep, options.best_metric)
        checkpoint.save(manager, *arguments)

    def look(wait: bool = False) -> None:
        nonlocal saving, failed
        if saving is not None and (wait or not manager.is_saving_in_progress()):
            step, saving = saving, None
            if succeeds(step, manager.wait_until_finished):
                failed = 0

    def save(
        state: TrainState,
        totals: checkpoint.Totals,
        data: str,
        scores: dict[str, float],
        last: bool = False,
    ) -> None:
        nonlocal saving, failed
        look(wait=True)
        step = int(state.step)
        while True:
            if succeeds(step, begin, state, totals, data, scores):
                if manager is None:  # as it is saved already
                    failed = 0
                else:
                    saving = step
                if last:
                    look(wait=True)
            if not (last and failed):
                return
            time.sleep(PAUSE)

    try:
        yield save, look
    finally:
        try:
            look(wait=True)
        except UsageError as error:  # beside what has ended the run
            print_above_bar(str(error), sys.stderr)
        close()
        if failed:  # which Orbax may still have been writing when it was removed
            checkpoint.remove_unfinished(workdir)
