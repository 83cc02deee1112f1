"""Sets the options of JAX and Flax to their defaults, so that the environment changes no result.

JAX reads an environment variable for each of its options: JAX_ENABLE_X64 for jax_enable_x64. Such
variables are often exported for other programs. This project computes the same bits with or without
them.
"""

import os
import sys
import warnings
from typing import Any

# The options that change results, forbid what this project does, or slow this project down. Each
# value is JAX's default. All other options choose devices, caches and logs, and are obeyed.
JAX_OPTIONS: dict[str, Any] = {
    # Parameters, images and counters have 32 bits; a TypeError follows if some of them have 64.
    "jax_enable_x64": False,
    # The field train.dtype chooses the precision, so that config.json names it.
    "jax_default_matmul_precision": None,
    "jax_allow_f16_reductions": True,
    "jax_numpy_dtype_promotion": "standard",
    # The field seed chooses the random numbers, together with this generator of JAX.
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_threefry_gpu_kernel_lowering": False,
    "jax_random_seed_offset": 0,
    "jax_enable_custom_prng": False,
    "jax_legacy_prng_key": "allow",
    "jax_high_dynamic_range_gumbel": False,
    "jax_debug_key_reuse": False,
    # Without compiled programs a step takes minutes, and neither pmap nor scan works.
    "jax_disable_jit": False,
    "jax_no_tracing": False,
    "jax_no_execution": False,
    # Other optimizations add numbers in another order.
    "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_exec_time_optimization_effort": 0.0,
    "jax_memory_fitting_level": "O2",
    "jax_memory_fitting_effort": 0.0,
    "jax_compiler_enable_remat_pass": True,
    "jax_enable_pgle": False,
    "jax_compilation_cache_expect_pgle": False,
    # Training stops by itself if a metric is not finite. These checks compute every step twice, or
    # abort at values that the losses handle.
    "jax_debug_nans": False,
    "jax_debug_infs": False,
    "jax_error_checking_behavior_nan": "ignore",
    "jax_error_checking_behavior_divide": "ignore",
    "jax_error_checking_behavior_oob": "ignore",
    "jax_experimental_unsafe_xla_runtime_errors": False,
    # These checks of JAX's own code slow every call down, or reject the code of Flax and Optax.
    "jax_enable_checks": False,
    "jax_check_tracer_leaks": False,
    "jax_check_static_indices": False,
    "jax_mutable_array_checks": True,
    "jax_disallow_mesh_context_manager": False,
    "jax_array_garbage_collection_guard": None,
    "jax_thread_guard": False,
    # Copies between the host and the devices are part of training.
    "jax_transfer_guard": None,
    "jax_transfer_guard_host_to_device": None,
    "jax_transfer_guard_device_to_device": None,
    "jax_transfer_guard_device_to_host": None,
    # The state of a run is on all devices that JAX_PLATFORMS names, in the order of the processes.
    "jax_default_device": None,
    "jax_sort_devices_by_process_index": True,
    "jax_mock_gpu_topology": "",
    "mock_num_gpu_processes": 0,
    # SIGTERM ends all processes of a run at the same step.
    "jax_enable_preemption_service": True,
    "jax_enable_recoverability": False,
    # A damaged file of the cache is compiled again; see `compile_cache`.
    "jax_raise_persistent_cache_errors": False,
    "jax_compilation_cache_check_contents": False,
    # JAX tries out new ways to trace and to compile with these options. They are for tests of JAX.
    "check_vma": False,
    "eager_constant_folding": False,
    "jax_accurate_erf_inv": False,
    "jax_auto_pcast": True,
    "jax_custom_jvp3": False,
    "jax_custom_vjp3": False,
    "jax_disable_bwd_checks": False,
    "jax_disable_vmap_shmap_error": False,
    "jax_embedded_constants_max_bytes": 32,
    "jax_refs_to_pins": False,
    "jax_remat3": False,
    "jax_remat_barrier_no_cotangents": False,
    "jax_remove_size_one_mesh_axis_from_type": False,
    "jax_scan3": False,
    "jax_softmax_custom_jvp": False,
    "jax_use_cpp_shard_args": False,
    "jax_use_direct_linearize": True,
    "jax_use_emit_pipeline_primitive": False,
    "jax_use_hlo_logistic_lowering": None,
    "jax_use_rgv3": True,
    "jax_use_shardy_partitioner": True,
    "jax_use_simplified_jaxpr_constants": False,
    # An exported generator must not depend on the environment, either.
    "jax_export_calling_convention_version": 10,
    "jax_export_ignore_forward_compatibility": False,
    "jax_serialization_version": 0,
}
FLAX_OPTIONS: dict[str, Any] = {
    # The names of the layers determine the first parameters and the dropout.
    "flax_fix_rng_separator": False,
    "flax_preserve_adopted_names": False,
    # Checkpoints and optimizers hold plain dictionaries.
    "flax_return_frozendict": False,
}
# The libraries of a GPU read these variables themselves: with NVIDIA_TF32_OVERRIDE, cuBLAS and
# cuDNN compute products in another precision than their caller asks for.
DRIVER_VARIABLES = ("NVIDIA_TF32_OVERRIDE",)
IGNORED = (
    "ignored, because results must not depend on the environment; unset it to silence this line"
)


def warn_of_ignored_options() -> None:
    """Pins the options for a program that imports this package.

    Warns if an option or a variable was changed.
    """
    if ignored := pin_options():
        # Level 2 is the package itself, and level 3 the line that imports it.
        warnings.warn(f"{', '.join(ignored)}: {IGNORED}", stacklevel=3)


def pin_options() -> list[str]:
    """Sets all options above to their values, and removes their variables from the environment.

    JAX need not be imported. An option that the installed version of JAX does not have is skipped.

    Returns:
      The environment variables that were set, and the options that a program had set otherwise.
    """
    variables = [*map(str.upper, JAX_OPTIONS | FLAX_OPTIONS), *DRIVER_VARIABLES]
    ignored = [name for name in variables if os.environ.pop(name, None) is not None]
    for library, options in (("jax", JAX_OPTIONS), ("flax", FLAX_OPTIONS)):
        config = getattr(sys.modules.get(library), "config", None)
        changed = _pin(config, options) if config is not None else []
        ignored += [option for option in changed if option.upper() not in ignored]
    return ignored


def _pin(config: Any, options: dict[str, Any]) -> list[str]:
    """Sets options in the config of a library; returns the options that had another value."""
    # Some options of JAX are only in `values`; those of Flax are only attributes.
    values = getattr(config, "values", {})
    changed = [
        name
        for name, value in options.items()
        if values.get(name, getattr(config, name, value)) != value
    ]
    for name in changed:
        config.update(name, options[name])
    return changed
