"""Archives beside an archive are named if they may be other parts of it."""

import pytest
from helpers.pairs import folder_data, make_empty_files, make_images, make_zip

from pix2pix_jax.data.archives.parts import describe_other_parts
from pix2pix_jax.data.prepare import prepare


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("pairs-20261130T101010Z-001.zip", "pairs-20261130T101010Z-002.zip"),
        ("pairs_part1.tar.gz", "pairs_part2.tar.gz"),
    ],
)
def test_other_parts_of_an_archive_are_named(tmp_path, name, other):
    root = make_empty_files(tmp_path / "parts", [name, other, "pairs.zip", "labels-002.zip"])
    [line] = describe_other_parts(root / name)
    assert line.startswith("WARNING: 1 archive beside this archive may be other parts of it")
    assert f"({other})" in line
    assert describe_other_parts(root / "pairs.zip") == []
    assert describe_other_parts(root / "labels-002.zip") == []


def test_prepare_prints_the_line_about_other_parts(tmp_path, capsys):
    archive = make_zip(make_images(tmp_path / "pairs-001", ["A/1.png", "B/1.png"]))
    archive.with_name("pairs-002.zip").touch()
    prepare(folder_data(archive))
    assert "(pairs-002.zip); unpack all parts" in capsys.readouterr().out
