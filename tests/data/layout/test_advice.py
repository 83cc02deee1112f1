"""Following the fix of an error line about a layout leads to pairs that can be read."""

import re
import shutil
from pathlib import Path

import pytest
from helpers.pairs import make_empty_files
from helpers.refusals import refusal

from pix2pix_jax.data.layout.pairs import FoundPairs, find_pairs
from pix2pix_jax.data.layout.roles import mentioned_splits
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
    "splits beside their labels": (
        ["train/t{}.png", "val/v{}.png", "test/e{}.png"],
        ["train_labels/t{}.png", "val_labels/v{}.png", "test_labels/e{}.png"],
        [],
    ),
    "splits beside their labels, with a suffix": (
        ["train/t{}.png", "val/v{}.png", "test/e{}.png"],
        ["train_labels/t{}_L.png", "val_labels/v{}_L.png", "test_labels/e{}_L.png"],
        [],
    ),
    "splits inside the sides": (
        ["photos/train/t{}.png", "photos/val/v{}.png"],
        ["labels/train/t{}_id.png", "labels/val/v{}_id.png"],
        ["labels/train/t{}_instances.png"],
    ),
    "words, inside splits": (
        ["train/t{}_sat.png", "valid/v{}_sat.png"],
        ["train/t{}_mask.png", "valid/v{}_mask.png"],
        [],
    ),
    "scenes": (
        ["kitchen_0001_out/rgb_{}.jpg", "bathroom_0002_out/rgb_{}.jpg"],
        ["kitchen_0001_out/sync_depth_{}.png", "bathroom_0002_out/sync_depth_{}.png"],
        [],
    ),
    "scenes of different lengths": (
        ["hall_1/rgb_{}.jpg", "hall_1/rgb_7{}.jpg", "office_2/rgb_{}.jpg", "study/rgb_{}.jpg"],
        ["hall_1/d_{}.png", "hall_1/d_7{}.png", "office_2/d_{}.png", "study/d_{}.png"],
        [],
    ),
    "scenes with folders": (
        ["kitchen/c1/{}.png", "bathroom/c1/{}.png"],
        ["kitchen/c2/{}.png", "bathroom/c2/{}.png"],
        [],
    ),
    "scenes with folders of words": (
        ["kitchen/ct/{}.png", "bathroom/ct/{}.png"],
        ["kitchen/mr/{}.png", "bathroom/mr/{}.png"],
        [],
    ),
    "blur with three sides": (
        ["train/clip1/blur/{}.png", "train/clip2/blur/{}.png", "test/clip3/blur/{}.png"],
        ["train/clip1/sharp/{}.png", "train/clip2/sharp/{}.png", "test/clip3/sharp/{}.png"],
        ["train/clip1/gamma/{}.png", "train/clip2/gamma/{}.png", "test/clip3/gamma/{}.png"],
    ),
    "holes": (["masked/{}.png"], ["gt/{}.png"], ["mask/{}.png"]),
    "patients": (
        [f"Patient_00{patient}/T1/{{}}.png" for patient in range(4)],
        [f"Patient_00{patient}/T2/{{}}.png" for patient in range(4)],
        [],
    ),
    "two patients": (
        [f"Patient_00{patient}/T1/{{}}.png" for patient in range(2)],
        [f"Patient_00{patient}/T2/{{}}.png" for patient in range(2)],
        [],
    ),
    "patients with sequences of words": (
        [f"P{patient}/CT/IMG{patient}{{}}.png" for patient in range(3)],
        [f"P{patient}/MR/IMG{patient}{{}}.png" for patient in range(3)],
        [f"P{patient}/PET/IMG{patient}{{}}.png" for patient in range(3)],
    ),
    "patients with sequences in one folder": (
        [f"patient{patient}/t1_{{}}.png" for patient in range(3)],
        [f"patient{patient}/flair_{{}}.png" for patient in range(3)],
        [],
    ),
    "labels of val left after A and B": (
        ["A/t{}.png", "val/v{}.png"],
        ["B/t{}.png", "val_labels/v{}.png"],
        [],
    ),
    "splits behind the sides": (
        ["x_train/t{}.png", "x_val/v{}.png", "x_test/e{}.png"],
        ["y_train/t{}.png", "y_val/v{}.png", "y_test/e{}.png"],
        [],
    ),
    "data of splits": (
        ["phone/training_data/own/t{}.png", "phone/test_data/own/e{}.png"],
        ["phone/training_data/canon/t{}.png", "phone/test_data/canon/e{}.png"],
        [],
    ),
    "a split inside a split": (
        ["train/test_x/A/{}.png"],
        ["train/test_x/B/{}.png"],
        ["val/{}.png"],
    ),
}


SIDES = ("A", "B", "others")
RENAME = re.compile(r"rename each folder of inputs to (.*?) and each .* to (.*?), (?:and move|or)")
MOVE = re.compile(r"move the inputs into (.*?) and \w+ targets?.*? into (.*?)(?:, with|, each|;)")


class FixApplier:
    """Does with the files of a layout what error lines say."""

    def __init__(self, root: Path, layout: tuple[list[str], list[str], list[str]]):
        self.root = root
        names = {
            side: [pattern.format(number) for pattern in patterns for number in NUMBERS]
            for side, patterns in zip(SIDES, layout, strict=True)
        }
        self.sides = {side: [root / file for file in files] for side, files in names.items()}
        make_empty_files(root, [file for files in names.values() for file in files])
        self.splits = [find_split(name) for name in names["A"]]
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
        fix = line.partition("; ")[2].removeprefix("if these are the sides of pairs, ")
        fix = fix.removeprefix("if these are A and B of a pair, ")
        if match := RENAME.match(fix):
            folders = {Path(name).name for name in re.findall(r"(\S+)/ \(\d+ images?\)", line)}
            self.rename_like(folders, [split_names(names) for names in match.groups()])
        elif match := MOVE.match(fix):
            new = [split_names(names) for names in match.groups()]
            self.move_sides(new, "each under the name of its folder" in fix)
        elif fix.startswith("rename each such folder to "):
            named = line.partition(" because the name")[0] + fix.partition(", and ")[2]
            self.rename_splits(set(re.findall(r"([^\s,]+)/", named)))
        elif fix.startswith("move the folder out of the folder of the other split, or rename the "):
            self.rename("train/test_x", "train/x")
        else:
            assert "give --config.data.form=folders to leave out all" in fix, line
            self.form = "folders"
        if "out of the source" in fix:
            for path in self.sides["others"]:
                path.unlink()
            self.sides["others"] = []

    def rename_like(self, names: set[str], new: list[list[str]]) -> None:
        """Renames all folders of these names, and of other splits, as the line says for a side."""
        for folder in [path for path in self.root.rglob("*") if path.is_dir()]:
            relative = folder.relative_to(self.root)
            if folder.name in names or (len(new[0]) > 1 and mentioned_splits(folder.name)):
                for side, new_names in zip("AB", new, strict=True):
                    if any(folder in path.parents for path in self.sides[side]):
                        split = find_split(f"{relative}/")
                        [name] = [n for n in new_names if len(new_names) == 1 or split in n]
                        self.rename(str(relative), str(relative.with_name(name)))

    def rename_splits(self, folders: set[str]) -> None:
        """Renames folders to the names of their splits, with A or B if they hold one side."""
        for folder in folders:
            path = self.root / folder
            inside = [s for s in "AB" if any(path in image.parents for image in self.sides[s])]
            side = inside[0] if len(inside) == 1 else ""
            self.rename(folder, str(Path(folder).with_name(find_split(f"{folder}/") + side)))

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

    def move_sides(self, new: list[list[str]], under_folder_name: bool) -> None:
        """Moves inputs and targets into the new folders, under the names of the inputs."""
        inputs = [path.relative_to(self.root) for path in self.sides["A"]]
        for side, folders in zip("AB", new, strict=True):
            for number, path in enumerate(self.sides[side]):
                name = Path(inputs[number].parent.name) if under_folder_name else inputs[number]
                folder = folders[0]
                if len(folders) > 1:  # The name of the split is in the folder for the side.
                    [folder] = [f for f in folders if f.startswith(self.splits[number])]
                    parts = [p for p in inputs[number].parts[:-1] if not mentioned_splits(p)]
                    name = Path(*parts, inputs[number].name)
                target = self.root / folder / name.with_suffix(path.suffix)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target)
                self.sides[side][number] = target


def find_split(name: str) -> str:
    """The split that the folders of an image mention."""
    splits = [split for folder in Path(name, "x").parts[:-1] for split in mentioned_splits(folder)]
    return splits[0] if splits else "train"


def split_names(text: str) -> list[str]:
    """The names of folders in a text such as "trainA/, valA/ and testA/"."""
    return [name.strip("/") for name in re.split(", | and ", text)]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_the_advice_leads_to_pairs(tmp_path, layout):
    applier = FixApplier(tmp_path / "pairs", layout)
    found = applier.read()
    assert found.form == "folders"
    assert sum(map(len, found.splits.values())) == len(layout[0]) * len(NUMBERS)
    for split, pairs in found.splits.items():
        for pair in pairs:
            number = applier.sides["A"].index(pair.files[0])
            assert applier.sides["B"][number] == pair.files[1]
            was_moved = split == "val" and "val" not in applier.splits
            assert applier.splits[number] == ("train" if was_moved else split)


def test_sequences_of_side_by_side_files_are_not_said_to_be_sides(tmp_path):
    names = [f"seq{number}/{name}.png" for number in range(3) for name in NUMBERS]
    source = Source(make_empty_files(tmp_path / "pairs", names), "SOURCE")
    line = refusal(find_pairs, source)
    assert len(line) <= MAX_LENGTH
    assert "seq0/ (5 images), seq1/ (5 images) and seq2/ (5 images) differ only by a num" in line
    assert "; if these are the sides of pairs, rename each folder of inputs to A and " in line
    assert line.endswith(", or, for side-by-side files, give --config.data.form=halves")
    splits = find_pairs(source, "halves").splits
    assert sum(map(len, splits.values())) == len(names)
