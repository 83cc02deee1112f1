"""Counts the notes about image files, so that each kind of note is one line for a whole set."""

from pix2pix_jax.runtime.console import plural


class NoteCounts:
    """The notes about a set of files, counted by their key."""

    def __init__(self) -> None:
        # The number of files with a note of each key, and the first of these files with its note.
        self._counts: dict[str, int] = {}
        self._first: dict[str, tuple[str, str]] = {}

    def add(self, name: str, notes: dict[str, str]) -> None:
        """Adds the notes about a file.

        Args:
          name: the name by which the user knows the file.
          notes: notes by key, such as `FileImage.notes`.
        """
        for key, note in notes.items():
            self._counts[key] = self._counts.get(key, 0) + 1
            self._first.setdefault(key, (name, note))

    def lines(self, total: int) -> list[str]:
        """One line for each kind of note.

        Args:
          total: the number of files in the set.
        """
        return [
            f"{count} of {plural(total, 'image')}, first {self._first[key][0]}: "
            f"{self._first[key][1]}"
            for key, count in self._counts.items()
        ]
