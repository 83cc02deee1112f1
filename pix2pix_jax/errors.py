"""Errors that the user can fix, and the one line that explains each."""

import errno
import os

# Only a disk or a limit of the system causes these; they often name no file.
DISK_ERRORS = {
    errno.ENOSPC,  # the disk is full
    errno.EDQUOT,  # the user's share of the disk is full
    errno.EFBIG,  # the file system, or `ulimit -f`, allows no larger file
    errno.EROFS,  # the disk is mounted for reading only
    errno.EIO,  # the disk is damaged
    errno.ESTALE,  # the server of a network disk has forgotten the file
    errno.EMFILE,  # `ulimit -n` allows no more open files
    errno.ENFILE,  # the system allows no more open files
}
# A path or a permission of the user causes these, if the error names the path. Without a path, and
# for all other numbers (such as EBADF and EINVAL), a bug is more likely.
PATH_ERRORS = {
    errno.EACCES,  # no permission
    errno.EPERM,  # no permission, even for the owner
    errno.ENOENT,  # no such file
    errno.EEXIST,  # a file stands where a folder is needed
    errno.ENOTDIR,  # a part of the path is a file
    errno.EISDIR,  # a folder stands where a file is needed
    errno.ENAMETOOLONG,
    errno.ELOOP,  # symbolic links that lead to each other
}


class UsageError(Exception):
    """An error that the user can fix, in one line that names the file or field: exit status 2."""

    def __init__(self, message: str):
        line = " ".join(message.split())
        # File names may come from strangers, and a terminal obeys control characters.
        printable = (char if char.isprintable() else repr(char)[1:-1] for char in line)
        super().__init__("".join(printable))


def reason_of(error: BaseException) -> str:
    """The first line of a library's error; the name of its type if it has no text."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def explain_error(error: BaseException) -> str | None:
    """The line for an error that the user can fix; None for a bug.

    A bug must keep its traceback: the line alone would not help to find it.
    """
    if isinstance(error, UsageError):
        return str(error)
    if not isinstance(error, OSError):
        return None
    if isinstance(error.filename, str | bytes | os.PathLike):
        if error.errno in DISK_ERRORS | PATH_ERRORS:
            return str(UsageError(f"{os.fsdecode(error.filename)}: {error.strerror}"))
    elif error.errno in DISK_ERRORS:
        return f"--workdir, --output or data.data_dir: {error.strerror}"
    return None


def is_debugging() -> bool:
    """Whether PIX2PIX_DEBUG asks for the traceback of every error, the user's included."""
    return os.environ.get("PIX2PIX_DEBUG", "") not in ("", "0")
