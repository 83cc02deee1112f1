"""Finds images that this program wrote: the translations of `translate`, and the images of runs."""

import json
from contextlib import suppress
from pathlib import Path

from pix2pix_jax.data.layout.roles import is_side_folder
from pix2pix_jax.runtime.storage.files import CONFIG_NAME, METRICS_NAME

# The file in an output folder that lists all written files: each line is a file name as JSON.
MANIFEST = ".translated.jsonl"


def read_manifest(folder: Path) -> set[str]:
    """Reads the names of the files that translate wrote to a folder; empty without a manifest."""
    try:
        lines = (folder / MANIFEST).read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    names = set()
    for line in lines:
        with suppress(ValueError):  # A killed process may have left half a line.
            names.add(str(json.loads(line)))
    return names


def find_translations(root: Path, paths: list[Path]) -> dict[Path, set[Path]]:
    """The files of `paths` that translate wrote, by output folder.

    Only output folders below `root` count, and not `root` itself.
    """
    known, found = set(paths), {}
    for folder in _folders_below(root, paths):
        written = {path for name in read_manifest(folder) if (path := folder / name) in known}
        if written:
            found[folder] = written
    return found


def find_own_images(root: Path, paths: list[Path]) -> dict[Path, str]:
    """The files of `paths` that are no data of the user, because this program wrote them.

    Translations in a folder A or B are data: a second network may be trained on the outputs of a
    first network.

    Returns:
      The kind of each file: "translation", or "run" for the files of a run.
    """
    kinds = {
        path: "translation"
        for folder, written in find_translations(root, paths).items()
        if not is_side_folder(folder.relative_to(root).parts)
        for path in written
    }
    folders = _folders_below(root, paths)
    runs = {f for f in folders if (f / METRICS_NAME).is_file() and (f / CONFIG_NAME).is_file()}
    if runs:
        kinds |= {path: "run" for path in paths if not runs.isdisjoint(path.parents)}
    return kinds


def _folders_below(root: Path, paths: list[Path]) -> set[Path]:
    """All folders below `root` that contain some of these files."""
    one_of_each = {path.parent: path for path in paths}.values()
    below = {folder for path in one_of_each for folder in path.relative_to(root).parents}
    return {root / folder for folder in below if folder.parts}
