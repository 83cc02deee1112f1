"""The commands refuse bad folders, fields, tarballs and flags in one line, with status 2."""

import io
import os
import tarfile

import pytest
from helpers.command_line import ROOT, folder_of, jpeg

from pix2pix_jax.cli.main import run_command

FOUR = "--config.data.batch_size=4"  # The process of the tests has four devices.


@pytest.fixture
def refused(monkeypatch, capsys):
    """A function that runs a command in this process, and checks its status and its error line."""
    monkeypatch.chdir(ROOT)

    def check(expected, *arguments):
        assert run_command(list(map(str, arguments))) == 2
        _, err = capsys.readouterr()
        assert len(err.splitlines()) == 1, err
        assert expected in err

    return check


BAD_FOLDERS = {
    "a truncated JPEG": ({"1.jpg": jpeg(), "2.jpg": jpeg()[:700]}, "2.jpg"),
    "an A without a B": ({"A/1.jpg": jpeg(), "B/2.jpg": jpeg()}, "A/1.jpg"),
    "an empty folder": ({".hidden": b""}, "pairs"),
    "a text file named as an image": ({"1.png": b"hello"}, "1.png"),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_bad_folders_are_refused_in_one_line(refused, tmp_path, case):
    files, expected = BAD_FOLDERS[case]
    workdir = tmp_path / "run"
    refused(
        expected, "train", "--config=experiments/folder.py", FOUR, f"--workdir={workdir}",
        f"--config.data.data_dir={tmp_path / 'data'}", folder_of(tmp_path, files),
    )  # fmt: skip
    assert not workdir.exists()  # the corrected command must not find a run there


BAD_FIELDS = {
    "an unknown field": ("data.bach_size=4", "did you mean data.batch_size?"),
    "a wrong type": ("data.batch_size=four", "--config.data.batch_size"),
    "an impossible size": ("data.image_size=100", "--config.data.image_size=96,96"),
    "a discriminator too deep": ("data.image_size=16", "give one of pixel, patch16"),
    "a source that is missing": ("data.source=nowhere.tar.gz", "nowhere.tar.gz"),
    "NaN": ("optimizer.learning_rate=nan", "optimizer.learning_rate"),
    "an empty batch": ("data.batch_size=0", "data.batch_size"),
}


@pytest.mark.parametrize(
    ("command", "flag"), [("evaluate", "--workdir"), ("train", "--workdir"), ("sweep", "--workdir")]
)
def test_a_path_that_is_not_utf8_is_refused(refused, tmp_path, command, flag):
    path = tmp_path / os.fsdecode(b"n\xe9")
    refused(f"{flag}: {tmp_path}/n\\udce9 has a name that is not UTF-8;", command, f"{flag}={path}")


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_bad_fields_are_refused_in_one_line(refused, tmp_path, case):
    field, expected = BAD_FIELDS[case]
    refused(
        expected, "train", "--config=experiments/facades.py", FOUR, f"--workdir={tmp_path / 'run'}",
        f"--config.data.data_dir={tmp_path / 'data'}", f"--config.{field}",
    )  # fmt: skip


def test_channels_that_no_image_has_are_refused_before_the_dataset_is_written(refused, tmp_path):
    data_dir = f"--config.data.data_dir={tmp_path / 'data'}"
    for command in (["prepare"], ["train", f"--workdir={tmp_path / 'run'}", FOUR]):
        refused(
            "data.input_channels: images have 1, 3 or 4 channels, not 2; give 1, 3 or 4",
            *command, "--config=experiments/quickstart.py", data_dir,
            "--config.data.input_channels=2",
        )  # fmt: skip
    assert not (tmp_path / "data").exists()


def test_bad_tarballs_are_refused_in_one_line(refused, tmp_path):
    (tmp_path / "no.tar.gz").write_bytes(b"not a tarball")
    with tarfile.open(tmp_path / "cut.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("train/1.jpg")
        info.size = len(jpeg())
        archive.addfile(info, io.BytesIO(jpeg()))
    content = (tmp_path / "cut.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(content[: len(content) // 2])
    for name in ("no.tar.gz", "cut.tar.gz"):
        refused(
            name, "prepare", "--config=experiments/facades.py",
            f"--config.data.data_dir={tmp_path / 'data'}",
            f"--config.data.source={tmp_path / name}",
        )  # fmt: skip


def test_a_workdir_of_a_run_with_another_config_is_refused(refused, tiny_flags, uninterrupted_run):
    before = (uninterrupted_run / "config.json").read_bytes()
    refused(
        "another loss.l1_weight",
        "translate",
        *tiny_flags,
        f"--workdir={uninterrupted_run}",
        "--config.loss.l1_weight=1",
        "--input=photos",
        "--output=translations",
    )
    assert (uninterrupted_run / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("train",), "--config"),
        (("train", "--config=nowhere.py"), "nowhere.py"),
        (("train", "--config=experiments/quickstart.py"), "--workdir"),
        (("paint",), "paint"),
        (("describe", "--config=experiments/quickstart.py", "--depth=3"), "--depth=3"),
        (("describe", "--workdir=nowhere"), "nowhere"),
        (("import", "--weights=G.pth", "--workdir=nowhere", "--config="), "--config: is empty"),
    ],
)
def test_bad_usage_is_refused_in_one_line(refused, arguments, expected):
    refused(expected, *arguments)
