"""Errors that the user can fix, and the one line that explains each."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

# The disk or a limit of the system causes these errors, which often name no file. Each value is the
# end of the error line.
DISK_ERRORS = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in your share of the disk",
    errno.EFBIG: "raise `ulimit -f`, or use a disk that allows larger files",
    errno.EROFS: "mount this disk for writing, or use a path on another disk",
    errno.EIO: "use another disk, because this one may be damaged",
    errno.ESTALE: "run the command again, because the network disk has lost the file",
    errno.EMFILE: "raise `ulimit -n`",
    errno.ENFILE: "end other programs that have many open files",
}
# A wrong path or a missing permission causes these errors, if the error names the path. Without a
# path, and for all other error numbers (such as EBADF and EINVAL), a bug is more likely.
PATH_ERRORS = {
    errno.EACCES: "change the permissions, or use another path",
    errno.EPERM: "change the permissions, or use another path",
    errno.ENOENT: "correct the path",
    errno.EEXIST: "move this file away, because a folder must be there",
    errno.ENOTDIR: "correct the path, because a part of it is a file",
    errno.EISDIR: "move this folder away, because a file must be there",
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ELOOP: "remove one of the symbolic links that lead to each other",
}


MAX_LINE = 2_000  # the most characters of an error line


class UsageError(Exception):
    """An error that the user can fix. The command exits with status 2.

    The message is one line: the file, flag or field, then what is wrong there, then what to do.

    Attributes:
      problem: the line without what to do.
      fix: what to do. It may be left out if `problem` ends with a line of its own fix: the error of
        another process, or the lines of several files.
    """

    def __init__(self, problem: str, fix: str = ""):
        self.problem, self.fix = make_printable(problem), make_printable(fix)
        super().__init__(f"{self.problem}; {self.fix}" if fix else self.problem)


def make_printable(text: str) -> str:
    """Turns a text into one printable line; cuts out the middle of a text above MAX_LINE."""
    if len(text) > MAX_LINE:
        text = f"{text[: MAX_LINE // 2]} ... {text[-MAX_LINE // 2 :]}"
    return escape_control_characters(" ".join(text.split()))


def escape_control_characters(text: str) -> str:
    r"""Turns a text into one line: a line break becomes \n, and the like.

    A file name may contain control characters, and a terminal would obey them.
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


class StoppedBySignal(SystemExit):
    """The exit after a signal.

    Code that catches SystemExit from a user's file must not catch this exception.
    """


@contextmanager
def prefix_errors(prefix: object, kind: type[UsageError] = UsageError) -> Iterator[None]:
    """Puts `prefix`, such as the path of a file, in front of an error of the `with` block.

    Args:
      prefix: the text.
      kind: the errors to put it in front of.

    Raises:
      UsageError: the `with` block raised an error of this kind.
    """
    try:
        yield
    except kind as error:
        raise UsageError(f"{prefix}: {error.problem}", error.fix) from error


def reason_of(error: BaseException) -> str:
    """The first 200 characters of the first line of an error; its type if the line is empty."""
    try:
        text = str(error)
    except Exception:  # The error may be of a class of the user's own, whose __str__ may fail.
        text = ""
    return text.strip().partition("\n")[0][:200] or type(error).__name__


def explain_error(error: BaseException) -> str | None:
    """The line to print for an error that the user can fix; None for a bug.

    A bug must keep its traceback: the line alone would not help to find it.
    """
    if isinstance(error, UsageError):
        return str(error)
    if not isinstance(error, OSError):
        return None
    if isinstance(error.filename, str | bytes | os.PathLike):
        if fix := fix_of(error):
            return str(UsageError(f"{os.fsdecode(error.filename)}: {error.strerror}", fix))
    elif error.errno in DISK_ERRORS:
        return f"--workdir, --output or data.data_dir: {error.strerror}; {fix_of(error)}"
    return None


def fix_of(error: OSError) -> str | None:
    """The fix for an error of the disk or of a path; None for all other errors."""
    return (DISK_ERRORS | PATH_ERRORS).get(error.errno or 0)


def is_debugging() -> bool:
    """Whether PIX2PIX_DEBUG asks for a traceback even of errors that the user can fix."""
    return os.environ.get("PIX2PIX_DEBUG", "") not in ("", "0")
