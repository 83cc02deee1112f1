"""The cache of compiled programs: damaged files are replaced, and a useless folder is named."""

import os
import subprocess
import sys
import zlib

import pytest
from helpers.command_line import ROOT

from pix2pix_jax.runtime.compile_cache import CacheWarnings, is_damaged

COMPILE = """
import jax
from pix2pix_jax.runtime.backend import start_backend

start_backend()
for name in ("one", "two", "three", "four"):
    def double(x): return 2 * x
    double.__name__ = name
    jax.jit(double)(1.0)
"""


def compile_programs(folder):
    """Compiles four small programs in a new process; returns what it prints to stderr."""
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def cached_programs(folder):
    return {path.name.partition("-")[0]: path for path in folder.glob("*-cache")}


def test_damaged_files_of_the_cache_are_replaced(tmp_path):
    assert compile_programs(tmp_path) == ""
    files = cached_programs(tmp_path)
    whole = {name: path.read_bytes() for name, path in files.items()}
    assert {"jit_one", "jit_two", "jit_three", "jit_four"} <= files.keys()
    damaged = {
        "jit_one": b"",
        "jit_two": whole["jit_two"][:99],
        "jit_three": whole["jit_three"][:200] + b"\0" + whole["jit_three"][201:],
        "jit_four": zlib.compress(b"\0\0\0\1 not a program"),
    }
    for name, content in damaged.items():
        files[name].write_bytes(content)
    assert compile_programs(tmp_path) == ""
    assert cached_programs(tmp_path) == files
    for name in damaged:
        assert len(zlib.decompress(files[name].read_bytes())) > 1000
    for name in files.keys() - damaged.keys():
        assert files[name].read_bytes() == whole[name]


def test_files_that_have_no_end_are_removed_from_the_cache(tmp_path):
    """JAX waits forever for a pipe that nobody writes to, and reads a device without an end."""
    assert compile_programs(tmp_path) == ""
    files = cached_programs(tmp_path)
    one, two = files["jit_one"], files["jit_two"]
    one.unlink()
    os.mkfifo(one)
    two.unlink()
    two.symlink_to("/dev/zero")
    (tmp_path / "folder-cache").mkdir()
    assert compile_programs(tmp_path) == ""
    for path in (one, two):
        assert path.is_file()
        assert not path.is_symlink()
    assert (tmp_path / "folder-cache").is_dir()


def test_a_cache_folder_that_is_a_file_is_named(tmp_path):
    place = tmp_path / "cache"
    place.write_text("a file")
    line = f"{place}: File exists; compiled programs are not kept"
    assert compile_programs(place).startswith(line)
    assert place.read_text() == "a file"


@pytest.fixture
def handler(tmp_path):
    shown = []
    handler = CacheWarnings(tmp_path, lambda *arguments: shown.append(str(arguments[0])))
    handler.shown = shown
    return handler


def warn(handler, action, error):
    text = f"Error {action} persistent compilation cache entry for 'jit_f': {error}"
    handler(text, UserWarning, "compiler.py", 1)


def test_a_full_disk_is_reported_once(handler, tmp_path, capsys):
    cut = tmp_path / "jit_f-12-cache"
    for _ in range(2):
        cut.write_bytes(b"\x78")
        warn(handler, "writing", f"OSError: [Errno 28] No space left on device: '{cut}'")
        assert not cut.exists()
    line, *rest = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}: No space left on device; compiled programs are not kept")
    assert rest == handler.shown == []


def test_whole_files_and_files_of_other_programs_stay(handler, tmp_path):
    whole, other = tmp_path / "jit_f-12-cache", tmp_path / "jit_g-12-cache"
    whole.write_bytes(zlib.compress(b"program"))
    other.write_bytes(b"")
    warn(handler, "reading", "Timeout: the lock was not acquired")
    assert whole.exists()
    assert other.exists()


ZSTANDARD = b"\x28\xb5\x2f\xfd\x24\x07\x39\x00\x00program"


def test_files_that_zstandard_has_compressed_stay(handler, tmp_path):
    file = tmp_path / "jit_f-12-cache"
    file.write_bytes(ZSTANDARD)
    warn(handler, "reading", "Timeout: the lock was not acquired")
    warn(handler, "writing", f"OSError: [Errno 28] No space left on device: '{tmp_path}/other'")
    assert file.exists()
    warn(handler, "reading", "ZstdError: decompression error: did not decompress full frame")
    assert not file.exists()


def test_a_file_that_cannot_be_read_stays(handler, tmp_path):
    folder = tmp_path / "jit_f-12-cache"
    folder.mkdir()  # Reading a folder raises OSError for every user, even for root.
    assert not is_damaged(folder)


def test_other_warnings_are_shown(handler):
    handler("something else", UserWarning, "file.py", 1)
    assert handler.shown == ["something else"]
