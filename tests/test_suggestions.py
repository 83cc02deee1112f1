"""The suggestion is the name that was meant; a name that resembles no other has no suggestion."""

from pathlib import Path

import pytest

from pix2pix_jax.config.fields import field_names
from pix2pix_jax.suggestions import (
    closest_field,
    closest_name,
    fix_path,
    give_one_of,
    similar_path,
)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("facade", "facades"),
        ("FACADES", "facades"),
        ("atob", "AtoB"),
        ("b_to_a", "BtoA"),
        ("fac", "facades"),
        ("facades_jpg_of_cmp", "facades"),
        ("zzz", None),
        ("", None),
        ("b", None),
        ("-1", None),
        ("x" * 1_000_000, None),
    ],
)
def test_the_closest_name_differs_in_few_letters(name, near):
    assert closest_name(name, ["facades", "AtoB", "BtoA", "b1", "b2"]) == near


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("optimizer.lr", "optimizer.learning_rate"),
        ("optimizer.beta1", "optimizer.b1"),
        ("data.foo", None),  # not data.flip, although the name of the group is equal
        ("data.batchsize", "data.batch_size"),
        ("Data.Batch_Size", "data.batch_size"),
        ("train.batch_size", "data.batch_size"),
        ("optim.learning_rate", "optimizer.learning_rate"),
        ("loss.L1", "loss.l1_weight"),
        ("train.fp16", "train.dtype=bfloat16"),
        ("sead", "seed"),
        ("a.b.c.d", None),
    ],
)
def test_the_closest_field_has_a_similar_last_part(name, near):
    assert closest_field(name, field_names()) == near


@pytest.mark.parametrize(
    ("path", "similar"),
    [
        ("my_pair", "my_pairs"),
        ("my-pairs", "my_pairs"),
        ("my_pair/train", "my_pairs/train"),
        ("my_pairs/trian", "my_pairs/train"),
        ("net_G.pht", "net_G.pth"),
        ("photos", "photos.zip"),
        ("my_pair/test", None),  # there is no my_pairs/test
        ("zzz", None),
        ("net_G.pth/a", None),  # a file is no folder
        ("cache", None),  # hidden files are not meant
    ],
)
def test_the_similar_path_exists_and_differs_in_one_name(tmp_path, monkeypatch, path, similar):
    (tmp_path / "my_pairs" / "train").mkdir(parents=True)
    for name in ("net_G.pth", "photos.zip", ".cache"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    for folder in (Path(), tmp_path):
        expected = None if similar is None else folder / similar
        assert similar_path(folder / path) == expected
    assert fix_path(path) == (f"did you mean {similar}?" if similar else "correct the path")


def test_a_single_value_is_offered_without_a_list():
    assert give_one_of([200]) == "give 200"
    assert give_one_of([100, 200]) == "give one of 100, 200"
