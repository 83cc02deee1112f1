"""The one exception that a user can act on, and the text of everyone else's."""


class UsageError(Exception):
    """What the user can mend, in one line that names the file or field: exit status 2."""

    def __init__(self, message: str):
        line = " ".join(message.split())
        # Names come from files of strangers, and could tell a terminal what to do.
        shown = (char if char.isprintable() else repr(char)[1:-1] for char in line)
        super().__init__("".join(shown))


def reason_of(error: BaseException) -> str:
    """What an error of a library says, in a line; its type where it says nothing."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
