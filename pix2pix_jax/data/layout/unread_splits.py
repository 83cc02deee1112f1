"""Says which lists of splits are not read, and which names mention a split without a folder."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pix2pix_jax.config.schema import SPLITS, Form
from pix2pix_jax.data.layout.roles import SPLIT_FOLDERS, PairFiles, SourceImage, mentioned_splits
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.layout.words import drop_numbers, fold_name
from pix2pix_jax.runtime.console import FEW_NAMED, join_names, name_some, plural

LIST_SUFFIXES = {".txt", ".lst", ".list", ".csv", ".tsv", ".json"}
COUNTED_SUFFIXES = LIST_SUFFIXES - {".json"}  # of lists with a name in each line
LIST_FOLDERS = {"imagesets", "splits", "split", "lists"}
# Words beside the word of a split in the names of lists: my_train_list.txt, test_files.txt.
LIST_WORDS = {"list", "lists", "file", "files", "filenames", "names", "ids", "images", "pairs"}
ALL_SPLITS_WORDS = {"split", "splits"}  # in the name of one list of all splits
MAX_BYTES = 1 << 20  # lists that are larger are not opened to count their lines
FIX = "but only folders make splits; put the pairs of each split into folders such as"


def describe_unread_lists(
    others: list[Path], images: list[SourceImage], made: Iterable[str], form: Form, source: Source
) -> list[str]:
    """The line about lists of splits, if folders do not make these splits.

    Args:
      others: the files of the source that are not images.
      images: the images of the source; a text with the name of an image is no list.
      made: the splits that folders make.
      form: how pairs are read.
      source: the source of the files.
    """
    stems = {fold_name(image.path.stem) for image in images}
    lists = {
        path: splits
        for path in others
        if (splits := _splits_of_list(path, source) - {*made}) and fold_name(path.stem) not in stems
    }
    if not lists:
        return []
    named = name_some([f"{source.name_of(path)}{_count_lines(path)}" for path in lists], FEW_NAMED)
    verb = "is" if len(lists) == 1 else "are"
    folders = _example_folders(set().union(*lists.values()), form)
    return [f"{plural(len(lists), 'list')} of splits {verb} not read ({named}), {FIX} {folders}"]


def describe_names_of_splits(splits: dict[str, list[PairFiles]], form: Form) -> list[str]:
    """The line about pairs whose names begin or end with a word for val or test.

    Args:
      splits: the pairs by the split that folders make; "" without a folder.
      form: how pairs are read.
    """
    named: dict[str, list[str]] = {}
    for pair in (*splits.get("", []), *splits.get("train", [])):
        words = drop_numbers(pair.name.rpartition("/")[2])
        for split in {SPLIT_FOLDERS.get(word, "") for word in (*words[:1], *words[-1:])}:
            if split in ("val", "test") and split not in splits:
                named.setdefault(split, []).append(pair.name)
    if not named:
        return []
    found = join_names(
        [
            f"of {plural(len(named[split]), 'pair')} mention {split} (first {named[split][0]})"
            for split in SPLITS
            if split in named
        ]
    )
    return [f"the names {found}, {FIX} {_example_folders(named, form)}"]


def _splits_of_list(path: Path, source: Source) -> set[str]:
    """The splits that a file probably lists, according to its name."""
    if path.suffix.lower() not in LIST_SUFFIXES:
        return set()
    words = drop_numbers(path.stem)
    if ALL_SPLITS_WORDS & {*words}:
        return {*SPLITS}
    folders = {folder.lower() for folder in Path(source.name_of(path)).parts[:-1]}
    mentioned = mentioned_splits(path.stem)
    is_list = LIST_WORDS & {*words} or {*words} <= {*mentioned.values()} or LIST_FOLDERS & folders
    return {*mentioned} if is_list else set()


def _count_lines(path: Path) -> str:
    """The number of lines of a list that are not empty; "" if the list is not read."""
    with suppress(OSError):
        if path.suffix.lower() in COUNTED_SUFFIXES and path.stat().st_size <= MAX_BYTES:
            count = sum(bool(line.strip()) for line in path.read_bytes().splitlines())
            return f" with {plural(count, 'line')}"
    return ""


def _example_folders(splits: Iterable[str], form: Form) -> str:
    """The folders for the pairs of a split, preferably val or test."""
    split = next(split for split in ("val", "test", "train") if split in {*splits})
    return f"{split}/" if form == "halves" else f"{split}A/ and {split}B/"
