"""Leaves out the targets, if the images to translate are pairs in folders A and B."""

from pathlib import Path

from pix2pix_jax.data.layout.roles import SIDES, read_role
from pix2pix_jax.runtime.console import plural, say


def leave_out_targets(source: str, root: Path, paths: list[Path], input_side: str) -> list[Path]:
    """Leaves out the targets, if the files are pairs in folders A and B.

    Files are pairs if a file of each side has the same name. Then all files of the target's side
    are left out, with a line.

    Args:
      source: the source that the user gave.
      root: the folder in which the search started.
      paths: the images below `root`.
      input_side: the side, A or B, that is the input of the run.

    Returns:
      The images to translate.
    """
    roles = [read_role(path, root, root, form=None) for path in paths]
    names = {side: {(r.split, r.pair) for r in roles if r.side == side} for side in SIDES}
    if names["A"].isdisjoint(names["B"]):
        return paths
    [target_side] = set(SIDES) - {input_side}
    inputs = [role.path for role in roles if role.side != target_side]
    say(
        f"{source}: skipped {plural(len(paths) - len(inputs), 'image')} of {target_side}, the "
        f"targets of pairs; to translate {target_side}, give its folder as --input"
    )
    return inputs
