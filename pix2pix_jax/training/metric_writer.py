"""What a run tells: a progress bar or plain lines, metrics.jsonl, TensorBoard, sample pictures."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import image, scalar
from tqdm import tqdm

from pix2pix_jax.runs.metrics_log import rewind
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.files import atomic_file
from pix2pix_jax.runtime.retry_queue import Put

SHORT = {  # names that leave room for the bar
    "loss/discriminator": "D",
    "loss/generator_gan": "G",
    "loss/generator_l1": "L1",
    "validation/l1": "val",
}


@contextmanager
def open_writer(
    workdir: Workdir, first: int, last: int, batch_size: int, put: Put
) -> Iterator[tuple[Callable[[int], None], Callable[..., None]]]:
    """Opens the outputs of a run that goes on from step `first` to step `last`.

    What an interrupted run wrote about steps after `first` is dropped: they come again.

    Args:
      workdir: of the run.
      first, last: steps.
      batch_size: of images, over all devices.
      put: of a RetryQueue.

    Yields:
      advance(step): moves the progress bar.
      write(step, scalars, picture=None): a line of metrics, and a picture where there is one.
    """
    rewind(workdir.metrics_file, first)
    put_events, finish_events = _events(workdir.tensorboard, first + 1)
    bar = tqdm(total=last, initial=first, unit="step", disable=not sys.stderr.isatty())
    opened = first, time.perf_counter()
    # (step, time) between which training speed is measured, samples and saves left out.
    clock = {"from": opened, "to": opened}

    def advance(step: int) -> None:
        compiling = clock["to"] == opened
        clock["to"] = step, time.perf_counter()
        if compiling:
            clock["from"] = clock["to"]
        bar.update(step - bar.n)

    def write(step: int, scalars: dict[str, float], picture: Image.Image | None = None) -> None:
        start, end = clock["from"], clock["to"]
        compiled = start == end  # and did nothing else
        if compiled:
            start = opened
        rate = (end[0] - start[0]) / (end[1] - start[1])
        scalars = scalars | {"images_per_second": rate * batch_size}
        line = json.dumps({"step": step} | scalars, allow_nan=False) + "\n"
        summaries = [scalar(name, value) for name, value in scalars.items()]
        put(f"metrics {step}", lambda: _append(workdir.metrics_file, line))
        if picture is not None:
            path = workdir.sample(step)
            put(f"samples {step}", lambda: _save_png(picture, path))
            summaries.append(image("samples", np.asarray(picture), dataformats="HWC"))
        put(f"events {step}", lambda: put_events(step, summaries))
        shown = {name: value for name, value in scalars.items() if name in SHORT}
        bar.set_postfix_str(" ".join(f"{SHORT[name]} {shown[name]:.2f}" for name in shown))
        told = shown | {n: value for n, value in scalars.items() if n.startswith("evaluation/")}
        text = "  ".join(f"{name.removeprefix('loss/')} {told[name]:.3f}" for name in told)
        left = tqdm.format_interval((last - step) / rate)
        speed = "" if compiled else f"  {rate:.2f} steps/s  {left} left"
        bar.clear()
        say(f"step {step}/{last}  {text}{speed}")
        bar.refresh()
        clock["from"] = step, time.perf_counter()

    try:
        with bar:
            yield advance, write
    finally:
        put("events", finish_events)


def _append(path: Path, line: str) -> None:
    """A line at the end of a file, or none of it."""
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a") as file:
            file.write(line)
    except OSError as error:
        with suppress(OSError):
            os.truncate(path, size)
        raise OSError(error.errno, error.strerror, str(path)) from error


def _save_png(picture: Image.Image, path: Path) -> None:
    with atomic_file(path) as partial:
        picture.save(partial, "PNG")


def _events(
    folder: Path, purge: int
) -> tuple[Callable[[int, list[Summary]], None], Callable[[], None]]:
    """TensorBoard's file, written by this thread: where its own thread fails, nobody is told.

    Args:
      folder: for the file; after a failure, which may leave half an event, for another one.
      purge: the step from which older files are to be forgotten.

    Returns:
      put(step, summaries) and finish(), which raise OSError where it cannot be written.
    """
    file: EventsWriter | None = None
    kept: list[Event] = []
    flushed = 0.0

    def put(step: int, summaries: list[Summary]) -> None:
        now = time.time()
        kept.extend(Event(step=step, wall_time=now, summary=summary) for summary in summaries)
        if now <= flushed + 1:  # as it waits for the disk
            return
        try:
            flush()
        except OSError:
            del kept[-len(summaries) :]  # which are put again
            raise

    def flush() -> None:
        nonlocal file, flushed, purge
        if not kept:
            return
        opened, file, name = file, None, ""
        try:
            if opened is None:
                folder.mkdir(parents=True, exist_ok=True)
                name = f".{uuid4().hex}"
                opened = EventsWriter(str(folder / "events"), name)
                start = SessionLog(status=SessionLog.START)
                opened.write_event(Event(step=purge, wall_time=time.time(), session_log=start))
            for event in kept:
                opened.write_event(event)
            opened.flush()
        except OSError as error:
            if opened is not None:  # else its folder cannot be made
                with suppress(OSError):
                    opened.close()
            for path in folder.glob(f"*{name}") if name else ():  # it has nothing else
                path.unlink()
            raise OSError(error.errno, error.strerror, str(folder)) from error
        file, flushed, purge = opened, time.time(), kept[-1].step + 1
        kept.clear()

    def finish() -> None:
        flush()
        if file is not None:
            file.close()

    return put, finish
