"""Whatever the environment says about JAX, this project computes the same bits."""

import os
import subprocess
import sys

import flax
import jax
import pytest
from helpers.command_line import ROOT, saved_arrays, train

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime import backend
from pix2pix_jax.runtime.jax_options import (
    DRIVER_VARIABLES,
    FLAX_OPTIONS,
    JAX_OPTIONS,
    pin_options,
)

# Valid values of the options that are not flags, other than the pinned values.
OTHER_VALUES = {
    "jax_default_matmul_precision": "bfloat16",
    "jax_numpy_dtype_promotion": "strict",
    "jax_default_prng_impl": "rbg",
    "jax_random_seed_offset": 3,
    "jax_legacy_prng_key": "error",
    "jax_optimization_level": "O1",
    "jax_exec_time_optimization_effort": -1.0,
    "jax_memory_fitting_level": "O0",
    "jax_memory_fitting_effort": -1.0,
    "jax_error_checking_behavior_nan": "raise",
    "jax_error_checking_behavior_divide": "raise",
    "jax_error_checking_behavior_oob": "raise",
    "jax_array_garbage_collection_guard": "log",
    "jax_transfer_guard": "disallow",
    "jax_transfer_guard_host_to_device": "disallow",
    "jax_transfer_guard_device_to_device": "disallow",
    "jax_transfer_guard_device_to_host": "disallow",
    "jax_default_device": "cpu",
    "jax_mock_gpu_topology": "1x8x1",
    "mock_num_gpu_processes": 2,
    "jax_embedded_constants_max_bytes": 0,
    "jax_use_hlo_logistic_lowering": True,
    "jax_export_calling_convention_version": 9,
    "jax_serialization_version": 9,
}
# The options that are obeyed, with a value that the environment may contain.
OBEYED = {
    # devices and processes
    "jax_backend_target": "",
    "jax_check_proxy_envs": "0",
    "jax_cpu_collectives_implementation": "gloo",
    "jax_cpu_enable_async_dispatch": "0",
    "jax_cpu_get_global_topology_timeout_minutes": "6",
    "jax_cpu_get_local_topology_timeout_minutes": "3",
    "jax_cross_host_transfer_socket_address": "",
    "jax_cross_host_transfer_timeout_seconds": "9",
    "jax_cross_host_transfer_transfer_size": "9",
    "jax_cross_host_transport_addresses": "",
    "jax_cuda_visible_devices": "0",
    "jax_debug_leaked_clients_on_clear_backends": "1",
    "jax_distributed_verify_secure_credentials": "0",
    "jax_force_dcn_cross_host_transfers": "1",
    "jax_mtls_ca_file": "",
    "jax_mtls_cert_file": "",
    "jax_mtls_key_file": "",
    "jax_mtls_peer_uri_prefix": "",
    "jax_num_cpu_devices": "1",
    "jax_oneapi_visible_devices": "0",
    "jax_pjrt_client_create_options": "",
    "jax_platform_name": "cpu",
    "jax_platforms": "cpu",
    "jax_rocm_visible_devices": "0",
    "jax_share_binary_between_hosts": "1",
    "jax_share_binary_between_hosts_timeout_ms": "9",
    "jax_xla_backend": "",
    # the cache of compiled programs
    "jax_compilation_cache_dir": None,
    "jax_compilation_cache_include_metadata_in_key": "1",
    "jax_compilation_cache_max_size": None,  # JAX 0.10 limits only a cache that was always limited.
    "jax_enable_compilation_cache": "1",
    "jax_persistent_cache_enable_xla_caches": "none",
    "jax_persistent_cache_min_compile_time_secs": "2",
    "jax_persistent_cache_min_entry_size_bytes": "9",
    "jax_remove_custom_partitioning_ptr_from_cache_key": "1",
    # logs, dumps and tracebacks
    "jax_captured_constants_report_frames": "1",
    "jax_captured_constants_warn_bytes": "1000000000",
    "jax_compiler_detailed_logging_min_ops": "9",
    "jax_debug_log_modules": "",
    "jax_distributed_debug": "0",
    "jax_dump_ir_modes": "stablehlo",
    "jax_dump_ir_to": "",
    "jax_explain_cache_misses": "0",
    "jax_hlo_source_file_canonicalization_regex": "x",
    "jax_include_debug_info_in_dumps": "0",
    "jax_include_full_tracebacks_in_locations": "0",
    "jax_log_checkpoint_residuals": "0",
    "jax_log_compiles": "0",
    "jax_logging_level": "ERROR",
    "jax_pprint_use_color": "0",
    "jax_send_traceback_to_runtime": "full",
    "jax_source_url_schema": "",
    "jax_traceback_filtering": "off",
    "jax_traceback_in_locations_limit": "2",
    "jax_tracer_error_num_traceback_frames": "2",
    # what this project does not use, and checks that its code passes
    "jax2tf_associative_scan_reductions": "1",
    "jax2tf_default_native_serialization": "0",
    "jax_bcoo_cusparse_lowering": "1",
    "jax_explicit_x64_dtypes": "error",
    "jax_export_deserialize_expired_versions": "1",
    "jax_mosaic_allow_hlo": "1",
    "jax_mosaic_unzip_debug_locations": "0",
    "jax_numpy_rank_promotion": "raise",
    "jax_pallas_auto_assign_collective_ids": "no",
    "jax_pallas_auto_assign_collective_ids_limit": "9",
    "jax_pallas_enable_debug_checks": "1",
    "jax_pallas_poison_buffers": "1",
    "jax_pallas_use_mosaic_gpu": "0",
    "jax_pallas_verbose_errors": "1",
    "jax_pgle_aggregation_percentile": "9",
    "jax_pgle_profiling_runs": "9",
    "jax_ragged_dot_use_gpu_pallas_triton_lowering": "1",
    "jax_ragged_dot_use_ragged_dot_instruction": "0",
    "jax_raise_on_ppermute_sort_diff": "0",
    "jax_use_magma": "off",
    "jax_xla_profile_version": "0",
}


def other_value(option):
    if option in OTHER_VALUES:
        return OTHER_VALUES[option]
    return not (JAX_OPTIONS | FLAX_OPTIONS)[option]


@pytest.mark.slow  # A new version of JAX has new options, which no user can sort.
def test_every_option_of_jax_is_pinned_or_obeyed():
    """Run this test with a new version of JAX, and sort its new options into the two tables."""
    assert not JAX_OPTIONS.keys() & OBEYED.keys()
    assert set(jax.config.values) <= JAX_OPTIONS.keys() | OBEYED.keys()


def test_the_pinned_values_are_the_defaults_of_jax_and_flax():
    """Pinning therefore changes no result."""
    code = "import jax, flax; print(jax.config.values, flax.config._values, sep='\\n')"
    environment = {name: value for name, value in os.environ.items() if "JAX" not in name}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    printed = done.stdout.decode()
    for option, value in (JAX_OPTIONS | FLAX_OPTIONS).items():
        if f"'{option}': " in printed:
            found = printed.split(f"'{option}': ")[1]
            # An enumeration is printed as <NumpyDtypePromotion.STANDARD: 'standard'>.
            assert found.startswith(repr(value)) or repr(value) in found.partition(">")[0]


def values_of(library):
    return jax.config.values if library is jax else vars(flax.config)["_values"]


@pytest.mark.parametrize(
    ("library", "option"),
    [
        # A version of JAX or Flax may lack some of the options.
        *((jax, option) for option in JAX_OPTIONS if option in values_of(jax)),
        *((flax, option) for option in FLAX_OPTIONS if option in values_of(flax)),
    ],
)
def test_an_option_that_a_program_has_set_is_pinned(library, option, monkeypatch):
    before = values_of(library)[option]
    library.config.update(option, other_value(option))
    monkeypatch.setenv(option.upper(), str(other_value(option)))
    assert option.upper() in pin_options()
    assert option.upper() not in os.environ
    assert values_of(library)[option] == before
    assert pin_options() == []


@pytest.mark.parametrize("variable", DRIVER_VARIABLES)
def test_the_variables_of_drivers_are_removed(variable, monkeypatch):
    monkeypatch.setenv(variable, "0")
    assert pin_options() == [variable]
    assert variable not in os.environ


def test_a_run_has_the_same_bits_with_all_variables_exported(tiny_flags, first_steps, tmp_path):
    """Four steps, a sample grid and a report, with another value for every option of JAX."""
    pinned = {option.upper(): str(other_value(option)) for option in JAX_OPTIONS | FLAX_OPTIONS}
    obeyed = {name.upper(): value for name, value in OBEYED.items() if value}
    nonsense = {"JAX_ENABLE_X64": "maybe"}  # JAX alone would refuse this value with a traceback.
    status, _, err = train(tiny_flags, tmp_path, 4, **obeyed, **(pinned | nonsense))
    assert status == 0, err
    assert err.count("\n") == 1
    assert all(variable in err for variable in pinned)
    assert saved_arrays(tmp_path, 4) == saved_arrays(first_steps, 4)


def test_importing_the_package_pins_the_options_of_a_program():
    code = (
        "import jax, sys; from pix2pix_jax.gan.networks import make_generator\n"
        "print(jax.config.jax_enable_x64, jax.numpy.ones(1).dtype)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False float32\n"
    assert "UserWarning: JAX_ENABLE_X64: ignored" in done.stderr


def test_a_module_of_another_package_is_warned_too(tmp_path):
    """`python -m mytool` is not a command of this project, even while it imports its package."""
    package = tmp_path / "mytool"
    package.mkdir()
    (package / "__init__.py").write_text("import pix2pix_jax\n")
    (package / "__main__.py").write_text("import os; print('JAX_ENABLE_X64' in os.environ)\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "mytool"],
        env=os.environ | {"JAX_ENABLE_X64": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n"
    assert f"{package}/__init__.py:1: UserWarning: JAX_ENABLE_X64: ignored" in done.stderr


def test_a_variable_that_jax_cannot_read_is_named(tiny_flags, tmp_path):
    status, _, err = train(tiny_flags, tmp_path, 4, JAX_NUM_CPU_DEVICES="two")
    assert status == 2
    assert err.startswith("JAX_NUM_CPU_DEVICES: JAX cannot read")
    assert len(err.splitlines()) == 1


def test_an_old_version_of_jax_is_named(monkeypatch):
    monkeypatch.setattr(jax, "__version_info__", (0, 4, 30))
    monkeypatch.setattr(jax, "__version__", "0.4.30")
    with pytest.raises(UsageError, match=r"^jax 0\.4\.30 in .* is too old, .* 0\.10 or newer; "):
        backend.load_jax()


@pytest.fixture
def without_platform(monkeypatch):
    for name in backend.PLATFORM_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_variables_that_choose_no_platform_are_not_blamed(without_platform, monkeypatch):
    monkeypatch.setenv("JAX_LOGGING_LEVEL", "INFO")
    line = str(backend.explain_missing_devices(RuntimeError("the TPU is in use by process 12")))
    assert line == (
        "JAX: no devices were found (the TPU is in use by process 12); end the other program that "
        "uses the devices, or set JAX_PLATFORMS=cpu"
    )


@pytest.mark.parametrize("variable", backend.PLATFORM_VARIABLES[:2])
def test_a_platform_that_is_not_there_is_named(variable, without_platform, monkeypatch):
    monkeypatch.setenv(variable, "cuda")
    line = str(backend.explain_missing_devices(AssertionError()))
    assert line.startswith(f"{variable}=cuda: no devices were found (that platform is not")
