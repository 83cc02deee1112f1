"""Flags and config.json: every spelling of a value is read, every mistake is one line."""

import json
from dataclasses import asdict

import pytest
from helpers.fields import OTHER, TOGETHER
from helpers.refusals import refusal
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pix2pix_jax.config import Config, Model, Optimizer
from pix2pix_jax.config.files import CONFIG, override, read_config, write_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.validation_errors import COMPLAINTS, first_error


def value_after_flag(field: str, value: str) -> object:
    """The value of a field after --config.FIELD=VALUE."""
    group, name = field.split(".")
    return asdict(override(Config(), {field: value}))[group][name]


@pytest.mark.parametrize(
    "text", ["256,512", "256, 512", "(256, 512)", "[256,512]", "256x512", "256 512"]
)
def test_a_size_can_be_written_in_several_ways(text):
    assert value_after_flag("data.image_size", text) == (256, 512)


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"data.image_size": "128", "model.depth": "7"}, (143, 143)),
        ({"data.image_size": "512,1024"}, (572, 1144)),
        ({"data.load_scale": "1.5"}, (384, 384)),
        ({"data.image_size": "128", "model.depth": "7", "data.load_size": "286"}, (286, 286)),
        ({"data.batch_size": "4"}, (286, 286)),
    ],
)
def test_the_load_size_of_a_run_follows_a_new_image_size_or_scale(fields, size):
    """A run's config.json has the load_size that was computed for its image_size."""
    assert resolve(override(resolve(Config()), fields)).data.load_size == size


def test_a_load_size_that_was_chosen_stays_with_a_new_image_size():
    config = resolve(override(Config(), {"data.load_size": "300"}))
    changed = override(config, {"data.image_size": "128", "model.depth": "7"})
    assert resolve(changed).data.load_size == (300, 300)


@pytest.mark.parametrize("text", ["None", "none", ""])
@pytest.mark.parametrize("field", ["data.source", "data.load_size", "model.depth"])
def test_a_flag_can_set_a_field_to_none(field, text):
    group, name = field.split(".")
    config = override(override(Config(), {field: OTHER[field]}), {field: text})
    assert asdict(config)[group][name] is None


def test_the_text_of_a_flag_becomes_the_type_of_its_field():
    assert value_after_flag("data.flip", "false") is False
    assert value_after_flag("data.synthetic_pairs", "(3, 2, 1)") == (3, 2, 1)
    assert value_after_flag("data.target_channels", "4") == 4
    assert value_after_flag("optimizer.learning_rate", "1e-4") == 1e-4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", "-1"),
        ("seed", str(2**32)),
        ("data.name", "facade"),
        ("data.batch_size", "four"),
        ("data.batch_size", "2.5"),
        ("data.batch_size", "0"),
        ("data.input_channels", "65"),
        ("data.input_channels", "rgb"),
        ("data.image_size", "0"),
        ("data.image_size", "-256"),
        ("data.image_size", "131072"),
        ("data.image_size", "256,256,3"),
        ("data.image_size", "x"),
        ("data.image_size", "big\nger"),
        ("data.load_size", "286.5"),
        ("data.flip", "perhaps"),
        ("data.synthetic_pairs", "3,2"),
        ("model.depth", "0"),
        ("model.dropout", "1"),
        ("loss.l1_weight", "nan"),
        ("loss.l1_weight", "inf"),
        ("loss.l1_weight", "-1"),
        ("optimizer.learning_rate", "0"),
        ("optimizer.b1", "nan"),
        ("train.steps", "-5"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_of_its_field(field, value):
    message = refusal(override, Config(), {field: value})
    assert message.startswith(f"--config.{field}: ")


@pytest.mark.parametrize(
    ("field", "near"),
    [
        ("data.batch_sise", "data.batch_size"),
        ("batch_size", "data.batch_size"),
        ("optimiser.learning_rate", "optimizer.learning_rate"),
        ("train.step", "train.steps"),
        ("sead", "seed"),
    ],
)
def test_an_unknown_field_is_refused_with_the_most_similar_name(field, near):
    message = refusal(override, Config(), {field: "4"})
    assert message == f"--config.{field}: unknown field; did you mean {near}?"


@pytest.mark.parametrize(
    ("field", "value", "near"),
    [
        ("data.name", "facade", "facades"),
        ("data.direction", "BtoB", "BtoA"),
        ("model.discriminator", "patch71", "patch70"),
        ("train.best_metric", "ssimm", "ssim"),
    ],
)
def test_a_misspelt_value_is_refused_with_the_most_similar_value(field, value, near):
    message = refusal(override, Config(), {field: value})
    assert message.startswith(f"--config.{field}: '{value}' is not valid; give '")
    assert message.endswith(f"; did you mean '{near}'?")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("data.batch_size", "1e3", "'1e3' is not a whole number; give a whole number"),
        ("data.batch_size", "0", "'0' is too small; give a number above 0"),
        ("data.resident_mib", "-1", "'-1' is too small; give a number of at least 0"),
        ("data.input_channels", "65", "'65' is too large; give a number of at most 64"),
        ("model.dropout", "1", "'1' is too large; give a number below 1.0"),
        ("data.image_size", "x", "'x' is not a whole number; give a whole number"),
        ("data.image_size", "1,2,3", "(1, 2, 3) has 3 numbers; give 2 numbers"),
        (
            "data.synthetic_pairs",
            "1.5,2,3",
            "'1.5,2,3' is not valid; give whole numbers with commas between them",
        ),
        ("data.synthetic_pairs", "5", "(5,) has too few numbers; give 3 numbers"),
        (
            "data.flip",
            "maybe",
            "'maybe' is neither true nor false; give True or False",
        ),
        ("loss.l1_weight", "inf", "'inf' is not finite; give a finite number"),
        ("loss.l1_weight", "heavy", "'heavy' is not a number; give a number"),
        ("train.dtype", "half", "'half' is not valid; give 'float32' or 'bfloat16'"),
    ],
)
def test_a_bad_value_is_refused_with_the_values_that_are_valid(field, value, expected):
    assert refusal(override, Config(), {field: value}) == f"--config.{field}: {expected}"


def test_a_number_with_too_many_digits_is_called_too_large():
    message = refusal(override, Config(), {"seed": "9" * 4400})
    assert message.startswith("--config.seed: '9999")
    assert message.endswith(" is too large; give a number with fewer digits")


def test_missing_numbers_are_counted_in_one_field_only():
    fields = {"data.synthetic_pairs": "5", "train.steps": "0"}
    expected = "--config.data.synthetic_pairs: (5,) has too few numbers; give 3 numbers"
    assert refusal(override, Config(), fields) == expected


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("9" * 5000),
    st.lists(st.integers(), max_size=4), st.dictionaries(st.text(max_size=2), st.integers()),
)  # fmt: skip


@given(st.sampled_from(sorted(OTHER)), VALUES)
def test_every_error_of_a_value_is_explained_in_our_words(field, value):
    """Every type of error that a field can raise is in the table of explanations."""
    tree = asdict(Config())
    group, _, name = field.rpartition(".")
    (tree[group] if group else tree)[name] = value
    raised = None
    try:
        CONFIG.validate_python(tree)
    except ValidationError as error:
        raised = error
    if raised is not None:
        assert raised.errors()[0]["type"] in {*COMPLAINTS, "unexpected_keyword_argument"}
        assert first_error(raised).problem.startswith(f"{field}: ")


def test_an_unknown_field_that_resembles_no_field_is_refused_with_where_to_look():
    message = refusal(override, Config(), {"zzz": "4"})
    assert message.endswith("zzz: unknown field; give a field that `pix2pix fields` lists")
    message = refusal(override, Config(), {"loss.zzz": "4"})
    assert all(field in message for field in OTHER if field.startswith("loss."))
    assert "data.name" not in message


def test_every_field_has_a_flag():
    for group, fields in asdict(Config()).items():
        for name, default in fields.items() if isinstance(fields, dict) else ():
            field = f"{group}.{name}"
            config = override(Config(), {field: OTHER[field]})
            assert asdict(config)[group][name] != default, field
    assert override(Config(), TOGETHER).seed == 1


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        resolve(Config()),
        override(Config(), TOGETHER),
        Config(optimizer=Optimizer(learning_rate=0.1 + 0.2)),
    ],
)
def test_reading_a_written_config_gives_an_equal_config(tmp_path, config):
    path = tmp_path / "config.json"
    write_config(Config(seed=9), path)
    write_config(config, path)
    assert read_config(path) == config
    assert json.loads(path.read_text())["data"]["name"] == config.data.name
    assert list(tmp_path.iterdir()) == [path]


def test_the_error_for_a_missing_config_file_names_the_file(tmp_path):
    message = refusal(read_config, tmp_path / "config.json")
    assert message.startswith(f"{tmp_path / 'config.json'}: ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty; restore this file"),
        ("\n", "is empty; restore this file"),
        ("\0" * 99, "is empty; restore this file"),  # after a machine has crashed
        ('{"seed": 1, "seed": 2}', 'has "seed" 2 times in one group; keep one of these lines'),
        (
            '{"data": {"flip": true, "flip": false, "flip": true}}',
            'has "flip" 3 times in one group; keep one of these lines',
        ),
        ("not JSON", "is not a config ("),
        ('{"seed": 1, "data": {"flip": tr', "is not a config ("),
        ("[]", "is not a config (the file has no fields); restore this file"),
        ('{"colour": 1}', "colour: "),
        (
            '{"data": {"batch_sise": 4}}',
            "data.batch_sise: unknown field; did you mean data.batch_size?",
        ),
        ('{"data": {"batch_size": "four"}}', "data.batch_size: "),
        ('{"data": {"input_channels": null}}', "data.input_channels: "),
        ('{"loss": {"l1_weight": NaN}}', "loss.l1_weight: "),
        (
            '{"batchSize": 4}',
            'batchSize: unknown field; did you mean {"data": {"batch_size": VALUE}}?',
        ),
        (
            '{"data.batch_size": 4}',
            'data.batch_size: unknown field; did you mean {"data": {"batch_size": VALUE}}?',
        ),
        (
            '{"no_flip": true}',
            'no_flip: unknown field; did you mean {"data": {"flip": false}}?',
        ),
        (f'{{"seed": {"9" * 5000}}}', "is not a config (not valid JSON at line 1 column "),
        (f'{{"seed": {"9" * 4000}}}', "seed: 9999"),
        (
            '{"data": {"flip": "maybe"}}',
            'data.flip: "maybe" is neither true nor false; give true or false',
        ),
        (
            '{"data": {"direction": "atob"}}',
            'data.direction: "atob" is not valid; give "AtoB" or "BtoA"; did you mean "AtoB"?',
        ),
        (
            '{"data": {"data_dir": 5}}',
            "data.data_dir: 5 is not text; put the value in double quotes",
        ),
        ('{"data": 5}', 'data: 5 is not a group of fields; give {"FIELD": VALUE}'),
    ],
)
def test_a_bad_config_is_refused_with_its_file_and_field(tmp_path, text, problem):
    path = tmp_path / "config.json"
    path.write_text(text)
    message = refusal(read_config, path)
    assert message.startswith(f"{path}: {problem}")
    assert "b'" not in message  # The error does not quote the content.


def test_a_config_of_an_earlier_version_keeps_the_biases_of_a_run_without_norms(tmp_path):
    """In earlier versions, `paper` gave a bias to every convolution that no norm follows."""
    path = tmp_path / "config.json"
    for norm, found in (("none", "unnormalized"), ("batch", "paper")):
        tree = asdict(Config(model=Model(norm=norm)))
        path.write_text(json.dumps(tree))
        assert read_config(path).model.bias == "paper"
        for name in ("initializer", "initializer_gain"):  # the fields of this version
            del tree["model"][name]
        path.write_text(json.dumps(tree))
        assert read_config(path).model.bias == found
    path.write_text('{"model": {"norm": "none", "bias": "paper"}}')  # written by hand
    assert read_config(path).model.bias == "paper"
