"""Sets up the process of a command: its streams, the logs of libraries, and errors in callbacks."""

import io
import logging
import os
import signal
import sys
import warnings
from typing import TextIO


def open_closed_streams() -> None:
    """Opens stdout and stderr on the null device if they are closed, as by `>&-` in a shell.

    Otherwise the next file would get the number of the closed stream, and with it the text that is
    meant for the stream.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, "w"))  # noqa: SIM115 (open until the process ends)


def silence_libraries() -> None:
    """Turns off the logs of TFDS, Orbax and others; the command reports their errors itself."""
    from absl import logging as absl_logging  # here, because it takes as long as all of `--help`

    sys.unraisablehook = report_unraisable
    # Pillow warns about oddities of files that it reads nevertheless.
    warnings.filterwarnings("ignore", module="PIL")
    absl_logging.set_verbosity(absl_logging.FATAL)
    for name in ("asyncio", "gcsfs"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def report_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Handles an exception that Python cannot raise, for instance in a callback of a library."""
    error = unraisable.exc_value
    if isinstance(error, SystemExit):  # `stop` ran inside the callback: exit outside of it
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(error.code))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    elif "Event loop is closed" not in str(error):  # Orbax abandons its writes after a failed save
        sys.__unraisablehook__(unraisable)


def escape_unprintable(stream: TextIO) -> None:
    """Makes a stream print "?" for a character that the terminal cannot show.

    `describe` draws lines and arrows.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
