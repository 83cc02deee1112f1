"""`pix2pix fields` and `train --help` list every field, from the schema itself."""

import json
from dataclasses import asdict

import pytest

from pix2pix_jax.cli.flags.field_list import list_fields
from pix2pix_jax.cli.flags.schema_source import read_comments, read_field_names
from pix2pix_jax.cli.main import run_command
from pix2pix_jax.config import Config
from pix2pix_jax.config.fields import field_names, field_values
from pix2pix_jax.config.files import override
from pix2pix_jax.config.resume import free_fields


def test_the_source_of_the_schema_has_the_fields_of_the_schema():
    assert read_field_names() == field_names()
    groups = {name for name, value in asdict(Config()).items() if isinstance(value, dict)}
    assert set(read_comments()) == set(field_names()) | groups


def test_every_field_has_a_comment_in_sentences():
    for name, comment in read_comments().items():
        assert comment[:1].isupper(), name
        assert comment.endswith("."), name


def test_the_rows_have_the_types_choices_and_defaults_of_the_fields():
    rows = {row.name: row for row in list_fields()}
    assert {name: row.default for name, row in rows.items()} == field_values(Config())
    assert {name for name, row in rows.items() if row.may_change} == free_fields(Config())
    assert rows["data.batch_size"].type == "whole number from 1"
    assert rows["model.dropout"].type == "number from 0 below 1"
    assert rows["model.depth"].type == "whole number from 1 to 16 or None"
    assert rows["data.flip"].type == "True or False"
    assert rows["data.direction"].choices == ["AtoB", "BtoA"]
    assert "class_iou" in rows["train.best_metric"].choices
    assert rows["data.batch_size"].meaning.startswith("Images per step, over all devices.")


def test_the_list_prints_every_field_as_the_flag_that_sets_its_default(capsys):
    assert run_command(["fields"]) == 0
    lines = capsys.readouterr().out.splitlines()
    flags = [line.strip() for line in lines if line.startswith("  --config.")]
    pairs = [flag.removeprefix("--config.").partition("=") for flag in flags]
    assert [name for name, _, _ in pairs] == field_names()
    assert override(Config(), {name: value for name, _, value in pairs}) == Config()
    assert max(map(len, lines)) <= 100


def test_the_list_can_be_json(capsys):
    assert run_command(["fields", "--format=json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == field_names()
    assert set(rows[0]) == {"name", "type", "choices", "default", "may_change", "meaning"}


def test_the_help_of_train_lists_every_field(capsys):
    with pytest.raises(SystemExit):
        run_command(["train", "--help"])
    text = capsys.readouterr().out
    assert all(f"\n  --config.{name}=" in text for name in field_names())
