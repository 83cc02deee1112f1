"""Of pairs in folders A and B, only the side of the input is translated."""

import pytest
from helpers.pairs import make_empty_files

from pix2pix_jax.inference.targets import InputSide, leave_out_targets


def kept(root, names, side, has_folder=False):
    make_empty_files(root, names)
    paths = sorted(root / name for name in names)
    left = leave_out_targets("SOURCE", root, paths, InputSide(side, has_folder))
    return [str(path.relative_to(root)) for path in left]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["A/1.png", "A/2.png", "B/1.jpg", "B/3.png", "c.png"], ["A/1.png", "A/2.png", "c.png"]),
        (["test/A/1.png", "test/B/1.png"], ["test/A/1.png"]),
        (["testA/x/1.png", "testB/x/1.npy"], ["testA/x/1.png"]),
        (["A/a/1.png", "A/b/1.png", "B/a/1.png", "B/b/1.png"], ["A/a/1.png", "A/b/1.png"]),
    ],
)
def test_targets_are_left_out_and_reported(tmp_path, capsys, names, expected):
    assert kept(tmp_path / "pairs", names, "A") == expected
    count = len(names) - len(expected)
    out = capsys.readouterr().out
    assert out.startswith(f"SOURCE: skipped {count} image{'s' * (count > 1)} in folders B, ")
    assert "give a folder B as --input" in out


def test_letters_inside_the_folder_of_the_input_are_all_inputs(tmp_path):
    names = ["A/a/1.png", "A/b/2.png", "A/b/3.png"]
    assert kept(tmp_path / "pairs", names, "A", has_folder=True) == names


def test_the_direction_decides_which_side_is_the_input(tmp_path):
    assert kept(tmp_path / "pairs", ["A/1.png", "B/1.png"], "B") == ["B/1.png"]


@pytest.mark.parametrize(
    "names", [["A/1.png", "B/2.png"], ["A/1.png"], ["B/1.png"], ["1.png", "b.png"]]
)
def test_folders_that_hold_no_pairs_are_translated_as_a_whole(tmp_path, capsys, names):
    assert kept(tmp_path / "pairs", names, "A") == names
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("names", "side", "expected"),
    [
        (["test_A/1.png", "test_B/1.png", "test_C/1.png"], "A", ["test_A/1.png"]),
        (["A/1.png", "C/1.png"], "A", ["A/1.png"]),
        (["A/1.png", "c.png"], "A", ["A/1.png"]),
        (["a/1.png", "b/1.png", "masks/1.png"], "B", ["b/1.png"]),
    ],
)
def test_a_run_on_folders_translates_only_the_folders_of_its_input(
    tmp_path, capsys, names, side, expected
):
    assert kept(tmp_path / "pairs", names, side, has_folder=True) == expected
    count = len(names) - 1
    assert capsys.readouterr().out == (
        f"SOURCE: skipped {count} image{'s' * (count > 1)} outside folders {side}, because the run "
        f"was trained on folders A and B, and its input is {side}; to translate other images, give "
        "their folder as --input\n"
    )


@pytest.mark.parametrize("names", [["A/1.png", "A/x/2.png"], ["B/1.png"], ["1.png", "C/1.png"]])
def test_a_run_on_folders_translates_all_images_of_one_kind(tmp_path, capsys, names):
    assert kept(tmp_path / "pairs", names, "A", has_folder=True) == names
    assert capsys.readouterr().out == ""
