"""Advice about fewer devices names the variable that decides the number of devices."""

from types import SimpleNamespace

import jax
import pytest

from pix2pix_jax.runtime.device_count import COUNT_FLAG, advise_devices


@pytest.mark.parametrize(
    ("option", "flags", "count", "expected"),
    [
        (2, "", 1, "use 1 device (unset JAX_NUM_CPU_DEVICES)"),
        (4, "", 3, "use 3 devices (set JAX_NUM_CPU_DEVICES=3)"),
        (-1, f"{COUNT_FLAG}=8", 1, f"use 1 device (remove {COUNT_FLAG} from XLA_FLAGS)"),
        (-1, f"{COUNT_FLAG}=8", 2, f"use 2 devices (give {COUNT_FLAG}=2 in XLA_FLAGS)"),
        # Without the variable, the flag would set the number again.
        (4, f"{COUNT_FLAG}=8", 1, "use 1 device (set JAX_NUM_CPU_DEVICES=1)"),
    ],
)
def test_the_variable_that_divides_the_cpu_is_named(monkeypatch, option, flags, count, expected):
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setattr(jax, "config", SimpleNamespace(jax_num_cpu_devices=option))
    assert advise_devices(count) == expected


@pytest.mark.parametrize(
    ("platform", "version", "variables", "expected"),
    [
        ("gpu", "cuda 12", {}, "use 2 devices (set CUDA_VISIBLE_DEVICES=0,1)"),
        (
            "gpu",
            "cuda 12",
            {"CUDA_VISIBLE_DEVICES": "3,5,6"},
            "use 2 devices (set CUDA_VISIBLE_DEVICES=3,5)",
        ),
        ("gpu", "rocm 6", {}, "use 2 devices (set HIP_VISIBLE_DEVICES=0,1)"),
        ("tpu", "libtpu", {}, "use 2 devices"),
    ],
)
def test_other_devices_are_hidden_by_the_variable_of_their_driver(
    monkeypatch, platform, version, variables, expected
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client = SimpleNamespace(platform_version=version)
    device = SimpleNamespace(platform=platform, client=client)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    assert advise_devices(2) == expected


def test_several_processes_share_their_number_of_devices(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert advise_devices(3) == "use 3 devices in all processes together"
