"""The environment variables that other libraries read: which are set, and which cause an error."""

import os
import sys
from collections.abc import Iterator
from types import FrameType

from pix2pix_jax.errors import UsageError, reason_of

# The beginnings of the variables of a library whose variables do not begin with its own name.
PREFIXES = {"google": ("PROTOCOL_BUFFERS_",), "numpy": ("NUMPY_", "NPY_")}
LIBRARY_NAMES = {"google": "protobuf"}
# OpenCV would refuse images above these limits; `data.images` has a limit of its own.
OPENCV_LIMITS = [f"OPENCV_IO_MAX_IMAGE_{side}" for side in ("PIXELS", "WIDTH", "HEIGHT")]


def set_library_variables() -> None:
    """Replaces the variables that this project does not need, but that can stop a library.

    A notebook sets MPLBACKEND to a module that need not be installed here.
    """
    os.environ["MPLBACKEND"] = "agg"
    for name in OPENCV_LIMITS:
        os.environ.pop(name, None)


def explain_failed_import(error: BaseException) -> UsageError | None:
    """The UsageError for a library that an environment variable keeps from loading.

    Args:
      error: any error. The first error of its chain of causes decides.

    Returns:
      The error that names the variables; None if no library was loaded, or if no variable of this
      library is set.
    """
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    if isinstance(error, ModuleNotFoundError):
        return None
    library, reason = _library_that_loads(error), reason_of(error)
    prefixes = PREFIXES.get(library, (f"{library.upper()}_",))
    variables = sorted(name for name in os.environ if name.startswith(prefixes))
    if not library or not variables:
        return None
    named = [name for name in variables if name in reason or _is_quoted(os.environ[name], reason)]
    blamed = named or variables
    one = len(blamed) == 1
    return UsageError(
        f"{', '.join(blamed)}: {LIBRARY_NAMES.get(library, library)} cannot be loaded with "
        f"{'this environment variable' if one else 'these environment variables'} ({reason})",
        f"correct or unset {'it' if one else 'one of them'}",
    )


def _is_quoted(value: str, text: str) -> bool:
    """Whether a text quotes a value. A short value such as 1 may occur in any text by chance."""
    return f"'{value}'" in text or f'"{value}"' in text


def _library_that_loads(error: BaseException) -> str:
    """The library whose code raised an error while the library was loaded; "" if none was."""
    frames = [frame for frame in _frames(error) if _library(frame) not in sys.stdlib_module_names]
    library = _library(frames[-1]) if frames else ""
    own = [frame.f_code.co_name for frame in frames if _library(frame) == library]
    return library if "<module>" in own else ""


def _frames(error: BaseException) -> Iterator[FrameType]:
    """The frames of an error, from the outermost to the innermost."""
    entry = error.__traceback__
    while entry:
        yield entry.tb_frame
        entry = entry.tb_next


def _library(frame: FrameType) -> str:
    """The top-level package of the code of a frame."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
