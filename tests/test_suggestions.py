"""The suggestion is the name that was meant; a name that resembles no other has no suggestion."""

import pytest

from pix2pix_jax.config.fields import field_names
from pix2pix_jax.suggestions import closest_field, closest_name


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
