"""Splits are read from the names of folders; unclear names are refused or reported."""

import pytest
from helpers.pairs import find_names, make_empty_files
from helpers.refusals import refusal

from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source

WORDS = {
    "train": ("train", "TRAIN", "Training", "trn"),
    "val": ("val", "valid", "Valid", "validation", "Validation", "dev"),
    "test": ("test", "Test", "testing", "TESTING", "tst"),
}
# Where A or B and the name of a split may be.
FORMS = ("{side}/{split}", "{split}/{side}", "{split}{side}", "{split}_{side}", "{split}-{side}")


def find_lines(root, name="SOURCE", form=None):
    """The lines about a source that is not refused."""
    return find_pairs(Source(root, name), form).lines()


@pytest.mark.parametrize("form", [*FORMS, "{side}_{split}", "set/{split}/{side}"])
@pytest.mark.parametrize("choice", range(5))
def test_splits_are_found_by_their_common_names(tmp_path, choice, form):
    words = {split: names[choice % len(names)] for split, names in WORDS.items()}
    names = [
        f"{form.format(split=word, side=side)}/{word}{number}.png"
        for word in words.values()
        for side in "Ab"
        for number in range(3)
    ]
    splits = find_names(make_empty_files(tmp_path / "pairs", names))
    assert {split: list(pairs) for split, pairs in splits.items()} == {
        split: [f"{word}{number}" for number in range(3)] for split, word in words.items()
    }


@pytest.mark.parametrize(
    ("names", "folder", "split"),
    [
        (["train/1.png", "test_images/2.png"], "test_images/", "test"),
        (["street/1.png", "my_test/2.png"], "my_test/", "test"),
        (["street/1.png", "val2017/2.png"], "val2017/", "val"),
        (["train/1.png", "test_img/2.png"], "test_img/", "test"),
        (["train/1.png", "val/2.png", "02_Test/3.png"], "02_Test/", "test"),
        (["train/1.png", "valset/2.png"], "valset/", "val"),
        (["our485/1.png", "eval15/2.png"], "eval15/", "test"),
        (["test/train_x/1.png", "train/2.png"], "test/train_x/", "train"),
        (["train/1.png", "train/test_x/2.png"], "train/test_x/", "test"),
    ],
)
def test_a_folder_that_only_mentions_a_split_is_refused(tmp_path, names, folder, split):
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert message.startswith("SOURCE: it is unclear whether 1 image of ")
    assert f" {folder} belong to {split}, because the name contains the word " in message
    is_inside = folder in ("test/train_x/", "train/test_x/")
    assert (f"rename each such folder to {split} " in message) != is_inside
    assert ("move the folder out of the folder of the other split" in message) == is_inside


def test_all_doubtful_folders_are_named_in_one_line(tmp_path):
    names = ["training_data/1.png", "training_data/2.png", "test_data/3.png", "x/val_7/4.png"]
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert message == (
        "SOURCE: it is unclear whether 2 images of training_data/ belong to train, 1 image of "
        "x/val_7/ to val and 1 image of test_data/ to test; rename each such folder to train, val "
        "or test (with A or B behind it if it holds one side of the pairs), or to a name without "
        "test or training or val"
    )


def test_a_folder_beside_a_doubtful_folder_is_named_if_it_is_the_split(tmp_path):
    names = ["A/1.png", "B/1.png", "val/2.png", "val_labels/2.png"]
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert message.endswith(
        "; rename each such folder to val (or to valA or valB if it holds one side of the pairs, "
        "and val/ as well), or to a name without val"
    )


@pytest.mark.parametrize("folder", ["holdout", "dev_board", "evaluation"])
def test_the_word_that_means_a_split_is_named(tmp_path, folder):
    root = make_empty_files(tmp_path / "pairs", ["street/1.png", f"{folder}/2.png"])
    word = folder.partition("_")[0]
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert f"because the name contains the word {word}; " in message
    assert message.endswith(f"or to a name without {word}")


@pytest.mark.parametrize("folder", ["test_images", "test"])
def test_with_the_form_folders_splits_of_images_outside_a_and_b_do_not_matter(tmp_path, folder):
    root = make_empty_files(tmp_path / "pairs", ["A/1.png", "B/1.png", f"{folder}/2.png"])
    assert find_lines(root, form="folders") == [
        f"skipped 1 image outside folders A and B ({folder}/2.png)"
    ]


def test_a_path_with_two_splits_is_refused(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["train/1.png", "test/x/training/1.png"])
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert message.startswith("SOURCE: the path test/x/training names more than one split")


def test_a_folder_around_all_images_may_mention_a_split(tmp_path):
    names = [f"my_test_set/{split}/{number}.png" for split in ("train", "val") for number in (1, 2)]
    root = make_empty_files(tmp_path / "pairs", names)
    assert {split: len(pairs) for split, pairs in find_names(root).items()} == {
        "train": 2,
        "val": 2,
    }
    assert find_lines(root) == []


@pytest.mark.parametrize("inside", ["", "my_test/"])
def test_training_on_a_folder_called_test_is_reported(tmp_path, inside):
    root = make_empty_files(tmp_path / "test", [f"{inside}{number}.png" for number in range(20)])
    told, moved = find_lines(root, str(root))
    assert told.startswith(f"the images are below a folder named {inside.strip('/') or 'test'}, ")
    assert "all 20 are read as train" in told
    assert moved == "there is no val/, so 2 of 20 pairs became val"


@pytest.mark.parametrize("name", ["train_set", "trainingdata", "my train", "train1"])
def test_a_folder_that_mentions_train_is_read_as_train_and_reported(tmp_path, name):
    names = [f"{name}/1.png", f"{name}/2.png", "val/1.png", "other/3.png"]
    root = make_empty_files(tmp_path / "pairs", names)
    assert {split: len(pairs) for split, pairs in find_names(root).items()} == {
        "train": 3,
        "val": 1,
    }
    assert find_lines(root) == [
        f"{name}/: 2 images are read as train, because of the name",
        "1 image outside val and test (other/) is read as train, because there is no train/",
    ]


# The word that the refusal names, by the name of a folder and the split that is meant.
WEAK_NAMES = {
    ("tests", "test"): "tests",
    ("Tests_2", "test"): "tests",
    ("evals", "test"): "evals",
    ("evaluate", "test"): "evaluate",
    ("heldout", "test"): "heldout",
    ("held_out", "test"): "heldout",
    ("held-out", "test"): "heldout",
    ("HeldOut", "test"): "heldout",
    ("hold-out", "test"): "holdout",
    ("unseen", "test"): "unseen",
    ("unseen_images", "test"): "unseen",
    ("testsplit", "test"): "testsplit",
    ("testfolder", "test"): "testfolder",
    ("testdev2017", "test"): "testdev",
    ("testinput", "test"): "testinput",
    ("evalset", "test"): "evalset",
    ("mytest", "test"): "mytest",
    ("测试集", "test"): "测试集",
    ("テストデータ", "test"): "テストデータ",
    ("vali", "val"): "vali",
    ("validate", "val"): "validate",
    ("validating", "val"): "validating",
    ("minival", "val"): "minival",
    ("minival2017", "val"): "minival",
    ("valsplit", "val"): "valsplit",
    ("验证集", "val"): "验证集",
}
# Other folders beside such a folder: none is a split, or one mentions train, or one is val.
BESIDE = (["data/{}0.png"], ["trainset/{}0.png"], ["val/{}0.png", "data/{}1.png"])


@pytest.mark.parametrize("beside", BESIDE, ids=lambda names: names[0].partition("/")[0])
@pytest.mark.parametrize(("name", "split"), WEAK_NAMES)
def test_other_words_for_a_split_are_refused_and_never_read_as_train(tmp_path, name, split, beside):
    if beside[0].startswith(split):
        beside = ["test/{}0.png", *beside[1:]]
    for number, form in enumerate(("", "{side}/")):
        names = [f"{name}/{{}}{n}.png" for n in range(3)] + beside
        files = [n.format(form.format(side=side)) for n in names for side in "AB"]
        root = make_empty_files(tmp_path / f"pairs{number}", list(dict.fromkeys(files)))
        message = refusal(find_pairs, Source(root, "SOURCE"))
        count = 6 if form else 3
        word = WEAK_NAMES[name, split]
        if beside[0].startswith("trainset"):  # This folder is named in the same line.
            read = f"{2 if form else 1} image{'s' if form else ''} of trainset/"
            assert message.startswith(f"SOURCE: it is unclear whether {read}")
            assert f" and {count} images of {name}/" in message
            assert f" to {split}; rename each such folder to train or {split} (with A" in message
            assert message.endswith(f"or to a name without {' or '.join(sorted(['train', word]))}")
            continue
        assert message.startswith(f"SOURCE: it is unclear whether {count} images of {name}/")
        assert f"belong to {split}, because the name contains the word {word}; " in message
        assert f"rename each such folder to {split} (or to {split}A or {split}B if" in message
        assert message.endswith(f"or to a name without {word}")


@pytest.mark.parametrize("name", sorted({name for name, _ in WEAK_NAMES}))
def test_other_words_for_a_split_are_only_names_beside_train_and_inside_val_and_test(
    tmp_path, name
):
    """`val/unseen` belongs to val, and folders beside train/ are reported."""
    inside = [f"val/{name}/2.png", f"test/{name}/3.png"]
    root = make_empty_files(tmp_path / "pairs", ["train/1.png", *inside, f"{name}/4.png"])
    assert {split: list(pairs) for split, pairs in find_names(root).items()} == {
        "train": ["1"],
        "val": [f"{name}/2"],
        "test": [f"{name}/3"],
    }
    assert find_lines(root) == [
        f"skipped 1 image outside the folders train, val and test ({name}/4.png)"
    ]


@pytest.mark.parametrize(
    ("train", "test", "word"),
    [("tr", "te", "te"), ("imagesTr", "imagesTs", "ts"), ("set_TR", "set_TE", "te")],
)
def test_the_short_words_mean_splits_only_beside_each_other(tmp_path, train, test, word):
    root = make_empty_files(tmp_path / "pairs", [f"x/{train}/1.png", f"x/{test}/2.png"])
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert f"1 image of x/{train}/ belong to train and 1 image of x/{test}/ to test; " in message
    assert message.endswith(f"or to a name without {' or '.join(sorted([word, 'tr']))}")
    for number, name in enumerate((train, test)):
        names = [f"{name}/1.png", "other/x2.png", "other/3.png"]
        root = make_empty_files(tmp_path / f"{number}", names)
        assert find_names(root).keys() == {"train", "val"}
        assert find_lines(root) == ["there is no val/, so 1 of 3 pairs became val"]
    languages = [f"{language}/{language}.png" for language in ("tr", "te", "de", "fr", "en")]
    root = make_empty_files(tmp_path / "more", [*languages, "ja/x.png", "nl/y.png"])
    assert find_names(root).keys() == {"train", "val"}


@pytest.mark.parametrize("name", ["训练集", "訓練データ"])
def test_a_folder_that_means_train_is_reported(tmp_path, name):
    root = make_empty_files(tmp_path / "pairs", [f"{name}/1.png", f"{name}/2.png", "val/3.png"])
    assert find_names(root)["train"].keys() == {f"{name}/1", f"{name}/2"}
    assert find_lines(root) == [f"{name}/: 2 images are read as train, because of the name"]


@pytest.mark.parametrize(
    "name",
    [
        *("contest", "latest", "trainer", "strain", "developed", "testimony", "devices", "devkit"),
        *("evaluation_of_models", "test_of_time", "valley", "testament", "attest", "medieval"),
        *("foreseen", "unseeing", "trains", "values", "withheld", "验证码", "letters", "trees"),
    ],
)
def test_words_that_contain_the_word_of_a_split_do_not_mean_a_split(tmp_path, name):
    names = [f"{name}/{number}.png" for number in range(4)] + ["other/5.png", "other/x6.png"]
    root = make_empty_files(tmp_path / "pairs", names)
    assert find_names(root).keys() == {"train", "val"}


def test_images_outside_val_and_test_are_reported_as_train(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["1.png", "2.png", "x/3.png", "val/4.png"])
    assert find_lines(root) == [
        "3 images outside val and test (x/) are read as train, because there is no train/"
    ]


def test_loose_images_beside_the_splits_are_reported(tmp_path):
    names = ["train/1.png", "val/1.png", *(f"{number}.png" for number in range(7)), "extra/x.png"]
    root = make_empty_files(tmp_path / "pairs", [*names, "train_extra/9.png"])
    assert find_lines(root) == [
        "skipped 9 images outside the folders train, val and test (0.png, 1.png, 2.png, 3.png, "
        "4.png and 4 more)"
    ]


def test_loose_images_beside_pairs_in_a_and_b_are_reported(tmp_path):
    names = ["train/A/1.png", "train/B/1.png", "val/A/1.png", "val/B/1.png", "preview.jpg"]
    root = make_empty_files(tmp_path / "pairs", names)
    assert find_names(root).keys() == {"train", "val"}
    assert find_lines(root) == [
        "skipped 1 image outside the folders train, val and test (preview.jpg)"
    ]


def test_pairs_that_become_val_are_reported(tmp_path):
    root = make_empty_files(tmp_path / "pairs", [f"train/{number}.png" for number in range(30)])
    assert find_lines(root) == ["there is no val/, so 3 of 30 pairs became val"]
    root = make_empty_files(tmp_path / "pair", ["1.png"])
    assert find_lines(root) == []  # `contents_lines` warns of a single pair.
