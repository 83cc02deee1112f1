"""Following the fix of an error line about a layout leads to pairs that can be read."""

import re
import shutil
from pathlib import Path

import pytest
from helpers.pairs import make_empty_files

from pix2pix_jax.data.layout.pairs import FoundPairs, find_pairs
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.errors import UsageError

NUMBERS = ("01", "02", "05", "06", "11")
MAX_LENGTH = 315  # of a line, with SOURCE as the path of the source

# Inputs, targets, and other images. {} is the number of the pair.
LAYOUTS = {
    "pets": (["images/{}.jpg"], ["annotations/trimaps/{}.png"], []),
    "camvid": (
        ["train/{}.png", "val/{}.png"],
        ["trainannot/{}.png", "valannot/{}.png"],
        [],
    ),
    "low light": (
        ["our485/low/{}.png", "eval15/low/{}.png"],
        ["our485/high/{}.png", "eval15/high/{}.png"],
        [],
    ),
    "blur": (
        ["train/clip1/blur/{}.png", "train/clip2/blur/{}.png"],
        ["train/clip1/sharp/{}.png", "train/clip2/sharp/{}.png"],
        [],
    ),
    "hazy": (["hazy/{}_1.png"], ["clear/{}.png"], ["hazy/{}_2.png"]),
    "microscopy": (["plate7/well{}/bright.tif"], ["plate7/well{}/fluor.tif"], []),
    "microscopy, three images": (["well{}/x.tif"], ["well{}/y.tif"], ["well{}/z.tif"]),
    "facades": (["base/cmp_{}.jpg"], ["base/cmp_{}.png"], []),
    "hd": (
        ["train_img/t{}.png", "test_img/e{}.png"],
        ["train_label/t{}.png", "test_label/e{}.png"],
        [],
    ),
    "toolbox": (["A/train/{}.jpg"], ["B/train/{}.jpg"], ["AB/train/{}.jpg"]),
    "phone": (["IMG_{}.jpg"], ["IMG_{}_edited.jpg"], []),
    "targets in a folder of the inputs": (["{}.png"], ["masks/{}.png"], []),
    "the same inside a split": (["train/{}.png"], ["train/masks/{}.png"], []),
    "three sides": (["images/{}.png"], ["masks/{}.png"], ["depth/{}.png"]),
    "two targets of each input": (["photos/{}.png"], ["gt/{}_ids.png"], ["gt/{}_colour.png"]),
    "targets beside two splits": (["train/{}.jpg", "val/x{}.jpg"], ["m/{}.png", "m/x{}.png"], []),
    "cityscapes": (
        ["leftImg8bit/train/ulm/ulm_{}_leftImg8bit.png"],
        ["gtFine/train/ulm/ulm_{}_gtFine_color.png"],
        ["gtFine/train/ulm/ulm_{}_gtFine_labelIds.png"],
    ),
    "three words": (["{}_rgb.png"], ["{}_depth.png"], ["{}_seg.png"]),
    "sides without equal names": (["photos/DSC{}.png"], ["my labels/street{}0.png"], []),
    "holdout": (["train/A/{}.png", "holdout/A/{}.png"], ["train/B/{}.png", "holdout/B/{}.png"], []),
    "a board of developers": (["dev_board/A/{}.png"], ["dev_board/B/{}.png"], ["x/AB/{}.png"]),
    "a split inside a split": (
        ["train/test_x/A/{}.png"],
        ["train/test_x/B/{}.png"],
        ["val/{}.png"],
    ),
}


class FixApplier:
    """Does with the files of a layout what error lines say."""

    def __init__(self, root: Path, layout: tuple[list[str], list[str], list[str]]):
        self.root = root
        self.sides: dict[str, list[Path]] = {}
        names = []
        for side, patterns in zip(("A", "B", "others"), layout, strict=True):
            files = [pattern.format(number) for pattern in patterns for number in NUMBERS]
            names += files
            self.sides[side] = [root / file for file in files]
        make_empty_files(root, names)
        self.form = None

    def read(self) -> FoundPairs:
        """Reads the pairs, and applies the fixes of at most four lines."""
        for _ in range(4):
            try:
                return find_pairs(Source(self.root, "SOURCE"), self.form)
            except UsageError as error:
                line = str(error)
            assert len(line) <= MAX_LENGTH, line
            self.apply(line)
        pytest.fail(line)

    def apply(self, line: str) -> None:
        """Does what one line says."""
        fix = line.partition("; ")[2]
        if match := re.match(r"rename each folder of inputs to (\w+) and each .* to (\w+)", fix):
            found = re.search(r"SOURCE: (.*)/ \(\d+ images?\) and (.*)/ \(", line)
            assert found
            for folder in found.groups():
                self.rename_like(Path(folder).name, match.groups())
        elif fix.startswith(("move the inputs", "if these are A and B of a pair, move the inputs")):
            self.move_sides("each under the name of its folder" in fix)
        elif match := re.match(r"rename each such folder to (\w+)", fix):
            folders = re.search(r"images? of (.*) belong to", line)
            assert folders
            self.rename_splits(folders[1].split(", "), match[1])
        elif fix.startswith("move the folder out of the folder of the other split, or rename the "):
            self.rename("train/test_x", "train/x")
        else:
            assert "give --config.data.form=folders to leave out all" in fix, line
            self.form = "folders"
        if "out of the source" in fix:
            for path in self.sides["others"]:
                path.unlink()
            self.sides["others"] = []

    def rename_like(self, name: str, new: tuple[str, ...]) -> None:
        """Renames all folders of a name to the name for the inputs or for the targets."""
        for folder in [path for path in self.root.rglob(name) if path.is_dir()]:
            relative = folder.relative_to(self.root)
            is_input = any(folder in path.parents for path in self.sides["A"])
            self.rename(str(relative), str(relative.with_name(new[0 if is_input else 1])))

    def rename_splits(self, folders: list[str], split: str) -> None:
        """Renames folders to the name of a split, with A or B if there are two."""
        for folder in folders:
            name = split
            if len(folders) > 1:
                is_input = any(self.root / folder in path.parents for path in self.sides["A"])
                name += "A" if is_input else "B"
            self.rename(folder.rstrip("/"), name)

    def rename(self, old: str, new: str) -> None:
        """Renames a folder inside the source."""
        (self.root / old).rename(self.root / new)
        for side, paths in self.sides.items():
            self.sides[side] = [
                self.root / new / path.relative_to(self.root / old)
                if self.root / old in path.parents
                else path
                for path in paths
            ]

    def move_sides(self, under_folder_name: bool) -> None:
        """Moves inputs into A and targets into B, under the names of the inputs."""
        new = {}
        for number, path in enumerate(self.sides["A"]):
            relative = path.relative_to(self.root)
            new[number] = Path(path.parent.name) if under_folder_name else relative
        for side in "AB":
            for number, path in enumerate(self.sides[side]):
                target = self.root / side / new[number].with_suffix(path.suffix)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target)
                self.sides[side][number] = target


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_the_advice_leads_to_pairs(tmp_path, layout):
    applier = FixApplier(tmp_path / "pairs", layout)
    found = applier.read()
    assert found.form == "folders"
    assert sum(map(len, found.splits.values())) == len(layout[0]) * len(NUMBERS)
    for pairs in found.splits.values():
        for pair in pairs:
            assert [
                path in applier.sides[side] for side, path in zip("AB", pair.files, strict=True)
            ]
