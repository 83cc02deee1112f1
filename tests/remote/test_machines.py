"""A run moves between machines through the real commands and a stand-in for the cloud."""

import os
import socket
from contextlib import contextmanager
from email.parser import BytesParser
from types import SimpleNamespace

import pytest
from helpers.command_line import metrics, run, saved_arrays, start, train


class MultipartParser:
    """Parses an upload that carries a file and its metadata, exact to the byte.

    The stand-in's own parser drops a last byte of 13, because it takes the byte for a line end.
    """

    def parsebytes(self, content):
        if b"multipart/related" not in content[:100]:
            return BytesParser().parsebytes(content)
        _, *parts, _ = content.split(b"--==0==")
        pairs = (part.split(b"\n\n", 1) for part in parts)
        payload = [SimpleNamespace(
            get_payload=lambda decode=False, body=body: body.removesuffix(b"\n"),
            get_content_type=lambda head=head: head.decode().partition(": ")[2].strip(),
        ) for head, body in pairs]  # fmt: skip
        return SimpleNamespace(get_payload=lambda: payload)


@contextmanager
def storage_server(monkeypatch):
    """Runs a stand-in for Google Cloud Storage, and yields its address."""
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    monkeypatch.setattr(emulator, "BytesParser", MultipartParser)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    running = emulator.create_server("localhost", port, in_memory=True, default_bucket="bucket")
    running.start()
    try:
        yield f"http://localhost:{port}"
    finally:
        running.stop()


@pytest.mark.slow
def test_a_run_killed_on_one_machine_resumes_on_another(
    tiny_flags, uninterrupted_run, tmp_path, monkeypatch
):
    """Workdir and data are in a bucket, and other commands find the run there."""
    workdir = "gs://bucket/runs/first"
    flags = [flag for flag in tiny_flags if "data_dir" not in flag]
    flags.append("--config.data.data_dir=gs://bucket/data")
    cache = {"JAX_COMPILATION_CACHE_DIR": os.environ["JAX_COMPILATION_CACHE_DIR"]}
    with storage_server(monkeypatch) as address:

        def machine(name):
            (tmp_path / name).mkdir(exist_ok=True)
            return {"HOME": str(tmp_path / name), "STORAGE_EMULATOR_HOST": address} | cache

        status, out, err = train(flags, workdir, 8, **machine("first"))
        assert (status, err) == (0, ""), out
        steps = "--config.train.steps=100000"
        process = start("train", *flags, f"--workdir={workdir}", steps, **machine("killed"))
        assert any("resuming from step 8" in line for line in process.stdout)
        process.kill()
        process.communicate()
        status, out, err = train(flags, workdir, 12, **machine("second"))
        assert (status, err) == (0, ""), out
        assert "still uses this folder" in out
        there = tmp_path / "second/.cache/pix2pix_jax/buckets/gs/bucket/runs/first"
        assert saved_arrays(there, 12) == saved_arrays(uninterrupted_run, 12)
        assert metrics(there) == metrics(uninterrupted_run)
        status, out, err = run(
            "translate", f"--workdir={workdir}", f"--input={there}/samples",
            f"--output={tmp_path}/translated", **machine("third"),
        )  # fmt: skip
        assert (status, err) == (0, ""), out
        assert list((tmp_path / "third/.cache/pix2pix_jax/buckets/gs/bucket").glob("data*")) == []
        status, out, err = run(
            "train", f"--init={workdir}:12", "--workdir=gs://bucket/runs/tuned",
            "--config.optimizer.learning_rate=1e-4", "--config.train.steps=1", **machine("fourth"),
        )  # fmt: skip
        assert (status, err) == (0, ""), out
        tuned = tmp_path / "fourth/.cache/pix2pix_jax/buckets/gs/bucket/runs/tuned"
        assert saved_arrays(tuned, 0) == saved_arrays(uninterrupted_run, 12)
        status, _, err = run("train", "--workdir=gs://nowhere/run", *flags, **machine("first"))
        assert status == 2
        assert len(err.splitlines()) == 1
        assert err.startswith("gs://nowhere/run: cannot be reached")
