"""Leaves out the targets, if the images to translate are pairs in folders A and B."""

from pathlib import Path

from pix2pix_jax.data.layout.roles import SIDES, read_role
from pix2pix_jax.runtime.console import plural, say


def leave_out_targets(source: str, root: Path, paths: list[Path], input_side: str) -> list[Path]:
    """Leaves out the targets, if the files are pairs in folders A and B.

    The files count as pairs if at least one name occurs on both sides. Then all files of the
    target's side are left out, and a line says so.

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
        f"{source}: skipped {plural(len(paths) - len(inputs), 'image')} in folders "
        f"{target_side}, because {target_side} is the side of the targets; to translate targets, "
        f"give a folder {target_side} as --input"
    )
    return inputs
