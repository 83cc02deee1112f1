"""Leaves out the images that are not inputs, if folders A and B hold the sides of pairs."""

from pathlib import Path
from typing import NamedTuple

from pix2pix_jax.data.layout.roles import SIDES, SourceImage, is_side_outermost, read_roles
from pix2pix_jax.runtime.console import plural, say


class InputSide(NamedTuple):
    """The side of the pairs that is the input of a run.

    Attributes:
      name: A or B.
      has_folder: whether the run was trained on pairs in folders A and B.
    """

    name: str
    has_folder: bool = False


def leave_out_targets(source: str, root: Path, paths: list[Path], side: InputSide) -> list[Path]:
    """Leaves out the targets, if the files are pairs in folders A and B, and says so in a line.

    If a run was trained on folders A and B, all files outside the folders of its input's side are
    left out, unless there is no such folder. For other runs, the files count as pairs if at least
    one name occurs on both sides. Then all files of the target's side are left out.

    Returns:
      The images to translate.
    """
    outer = is_side_outermost(paths, root, root, form=None)
    roles = read_roles(paths, root, root, None, outer)
    [target_side] = set(SIDES) - {side.name}
    if side.has_folder and any(role.side == side.name for role in roles):
        inputs = [role.path for role in roles if role.side == side.name]
        place = f"outside folders {side.name}"
        reason = f"the run was trained on folders A and B, and its input is {side.name}"
        fix = "to translate other images, give their folder as --input"
    elif _hold_pairs(roles):
        inputs = [role.path for role in roles if role.side != target_side]
        place = f"in folders {target_side}"
        reason = f"{target_side} is the side of the targets"
        fix = f"to translate targets, give a folder {target_side} as --input"
    else:
        return paths
    if len(inputs) < len(paths):
        skipped = plural(len(paths) - len(inputs), "image")
        say(f"{source}: skipped {skipped} {place}, because {reason}; {fix}")
    return inputs


def _hold_pairs(roles: list[SourceImage]) -> bool:
    """Whether at least one name occurs on both sides."""
    names = {side: {(r.split, r.pair) for r in roles if r.side == side} for side in SIDES}
    return not names["A"].isdisjoint(names["B"])
