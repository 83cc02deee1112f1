"""Sets up the process of a command: its streams, the logs of libraries, and errors in callbacks."""

import io
import logging
import os
import signal
import sys
import warnings
from typing import TextIO


def open_closed_streams() -> None:
    """Opens stdout and stderr on the null device if they are closed, for example by `>&-`.

    Otherwise the next file that is opened would get the file descriptor of the closed stream, and
    the text for the stream would be written into that file.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, open(number, "w"))  # noqa: SIM115 (open until the process ends)


def silence_libraries() -> None:
    """Turns off the logs of TFDS, Orbax, asyncio and gcsfs, and the warnings of Pillow.

    The commands print the errors of these libraries themselves. Exceptions in callbacks of the
    libraries go to `report_unraisable`.
    """
    # The import is not at the top, because loading absl takes as long as all of `--help`.
    from absl import logging as absl_logging

    sys.unraisablehook = report_unraisable
    # Pillow warns about odd files even if it can read them.
    warnings.filterwarnings("ignore", module="PIL")
    absl_logging.set_verbosity(absl_logging.FATAL)
    for name in ("asyncio", "gcsfs"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def report_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Handles an exception that Python cannot raise, for instance in a callback of a library."""
    error = unraisable.exc_value
    # If `stop` was called inside the callback, exit a moment later, outside the callback.
    if isinstance(error, SystemExit):
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(error.code))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    # After a failed save, Orbax abandons its writes, which causes "Event loop is closed". The
    # failed save has been reported already.
    elif "Event loop is closed" not in str(error):
        sys.__unraisablehook__(unraisable)


def escape_unprintable(stream: TextIO) -> None:
    """Makes a stream print "?" for a character that the terminal cannot show.

    For example, `describe` prints arrows, which a terminal for ASCII cannot show.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
