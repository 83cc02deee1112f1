"""Finds the name that a user meant: of a flag, a field, a value or a file.

`cli` uses this module for every unknown flag, so it imports no library that loads slowly.
"""

import difflib
from collections.abc import Iterable

# Names that other programs and papers have for fields and flags. A target may set a value. Of
# several targets, the first that a command has is suggested.
OTHER_NAMES = {
    **dict.fromkeys(("lr", "alpha", "step_size"), ("optimizer.learning_rate",)),
    "beta1": ("optimizer.b1",),
    "beta2": ("optimizer.b2",),
    "eps": ("optimizer.epsilon",),
    **dict.fromkeys(("lr_policy", "scheduler", "lr_schedule"), ("optimizer.schedule",)),
    **dict.fromkeys(("bs", "batch", "minibatch"), ("data.batch_size",)),
    **dict.fromkeys(
        ("epochs", "n_epochs", "num_epochs", "max_epochs", "niter"), ("train.epochs", "train.steps")
    ),
    **dict.fromkeys(
        ("iterations", "iters", "n_iters", "max_iter", "kimg", "total_steps"), ("train.steps",)
    ),
    "epoch": ("--step", "train.epochs", "train.steps"),
    **dict.fromkeys(("ckpt", "checkpoint", "which_epoch", "load_iter"), ("--step",)),
    **dict.fromkeys(("resume", "continue_train"), ("--workdir",)),
    **dict.fromkeys(
        ("save_freq", "save_every", "save_epoch_freq", "ckpt_every"), ("train.checkpoint_every",)
    ),
    **dict.fromkeys(("print_freq", "log_freq", "logging_steps"), ("train.log_every",)),
    **dict.fromkeys(("display_freq", "sample_freq"), ("train.sample_every",)),
    **dict.fromkeys(("eval_every", "eval_freq", "val_freq"), ("train.evaluate_every",)),
    **dict.fromkeys(
        ("dataroot", "data_root", "data_path", "dataset_path", "data_folder"),
        ("--input", "data.source"),
    ),
    **dict.fromkeys(
        ("in", "images", "input_dir", "input_path", "source", "src"), ("--input", "data.source")
    ),
    **dict.fromkeys(
        ("out", "outdir", "output_dir", "output_path", "results_dir", "save_dir", "dst"),
        ("--output", "--workdir"),
    ),
    **dict.fromkeys(
        ("logdir", "run_dir", "checkpoints_dir", "checkpoint_dir", "exp_dir", "run", "model_dir"),
        ("--workdir",),
    ),
    **dict.fromkeys(("phase", "subset"), ("--split",)),
    **dict.fromkeys(("dataset", "dataset_name"), ("data.name",)),
    **dict.fromkeys(("cfg", "conf", "configuration", "experiment", "yaml"), ("--config",)),
    **dict.fromkeys(("which_direction", "a2b", "b2a"), ("data.direction",)),
    **dict.fromkeys(
        ("size", "img_size", "resolution", "res", "imsize", "fine_size", "crop_size", "crop"),
        ("data.image_size",),
    ),
    **dict.fromkeys(("resize_size", "scale_size"), ("data.load_size",)),
    **dict.fromkeys(("in_channels", "input_nc", "in_ch"), ("data.input_channels",)),
    **dict.fromkeys(("out_channels", "output_nc", "out_ch"), ("data.target_channels",)),
    **dict.fromkeys(("mirror", "hflip"), ("data.flip",)),
    "no_flip": ("data.flip=False",),
    **dict.fromkeys(("ngf", "nf", "base_channels", "width"), ("model.features",)),
    "ndf": ("model.discriminator_features",),
    **dict.fromkeys(("net_g", "g", "arch", "architecture"), ("model.generator",)),
    **dict.fromkeys(("net_d", "n_layers_d", "patch_size"), ("model.discriminator",)),
    **dict.fromkeys(("num_downs", "n_layers", "levels"), ("model.depth",)),
    "no_dropout": ("--no_dropout", "model.dropout=0"),
    **dict.fromkeys(("normalization", "norm_layer"), ("model.norm",)),
    **dict.fromkeys(("gan_mode", "gan_loss", "loss"), ("loss.gan",)),
    **dict.fromkeys(("l1", "lambda", "lambda_l1", "lambda_a", "l1_lambda"), ("loss.l1_weight",)),
    **dict.fromkeys(("lambda_gp", "gp_weight"), ("loss.gradient_penalty",)),
    **dict.fromkeys(("precision", "mixed_precision"), ("train.dtype",)),
    **dict.fromkeys(("fp16", "bf16", "amp", "half"), ("train.dtype=bfloat16",)),
    "random_seed": ("--seed", "seed"),
    **dict.fromkeys(("num_samples", "n_samples"), ("--samples", "train.samples")),
    **dict.fromkeys(
        ("pth", "pretrained", "init_from", "finetune", "model_path", "checkpoint_path"),
        ("--weights", "--init"),
    ),
}
# Advice about flags of other programs that are neither a flag nor a field here.
ADVICE = {
    **dict.fromkeys(
        ("gpu", "gpus", "gpu_ids", "device", "devices", "cuda", "no_cuda", "cpu", "tpu"),
        "all devices are used; choose others by the variables JAX_PLATFORMS, such as "
        "JAX_PLATFORMS=cpu, and CUDA_VISIBLE_DEVICES",
    ),
    **dict.fromkeys(
        ("version", "v"), "give it without a command: pix2pix --version"
    ),
    **dict.fromkeys(
        ("verbose", "debug"), "give PIX2PIX_DEBUG=1 before the command to see tracebacks of errors"
    ),
}  # fmt: skip
# Names that other programs have for our commands.
OTHER_COMMANDS = {
    **dict.fromkeys(("test", "eval", "score", "validate", "metrics"), "evaluate"),
    **dict.fromkeys(("predict", "infer", "inference", "generate", "run", "apply"), "translate"),
    **dict.fromkeys(("serve", "web", "app", "ui", "gui"), "demo"),
    **dict.fromkeys(("convert", "save", "onnx"), "export"),
    **dict.fromkeys(("load", "convert_weights"), "import"),
    **dict.fromkeys(("summary", "model", "info", "show"), "describe"),
    **dict.fromkeys(("data", "dataset", "preprocess", "download"), "prepare"),
    **dict.fromkeys(("ablation", "ablations", "grid"), "sweep"),
    **dict.fromkeys(("bench", "speed", "profile", "time"), "benchmark"),
    **dict.fromkeys(("fit", "resume", "start", "finetune"), "train"),
    **dict.fromkeys(("config", "options", "field", "flags", "settings"), "fields"),
    "help": "--help",
    "version": "--version",
}


def closest_name(name: str, names: Iterable[str], similarity: float = 0.6) -> str | None:
    """The most similar of several names, for "did you mean"; None if no name is similar enough.

    Upper and lower case, "-" and "_" count as equal. A name of one letter is similar to none.

    Args:
      name: the name that was given.
      names: the names that are valid.
      similarity: the least similarity of a name, 0 to 1; 1 means equal.
    """
    plain = {plain_name(known): known for known in names}
    wanted = plain_name(name[:100])
    if wanted in plain:
        return plain[wanted]
    if len(wanted) < 2:
        return None
    near = difflib.get_close_matches(wanted, plain, 1, similarity)
    if near:
        return plain[near[0]]
    # One of the two may be short for the other, as "val" and "validation".
    longer = [name for name in plain if _is_short_for(name, wanted) or _is_short_for(wanted, name)]
    return plain[longer[0]] if len(longer) == 1 else None


def _is_short_for(short: str, name: str) -> bool:
    return len(short) >= 3 and name.startswith(short)


def closest_field(name: str, names: list[str]) -> str | None:
    """The field that a user meant by an unknown name; None if no field is similar.

    Only the last part of a name counts: every field of a group would resemble the name of the
    group.

    Args:
      name: the unknown name, FIELD or GROUP.FIELD.
      names: the names of all fields: "seed", and GROUP.FIELD.

    Returns:
      A name of `names`, or FIELD=VALUE if another program's name means a certain value.
    """
    group, _, last = name.rpartition(".")
    for target in other_names(last):
        if target.partition("=")[0] in names:
            return target
    near_group = closest_name(group, {known.partition(".")[0] for known in names}, 0.8)
    own = {known.rpartition(".")[2]: known for known in names if known.startswith(f"{near_group}.")}
    every = {known.rpartition(".")[2]: known for known in names}
    near = closest_name(last, own)
    if near is not None:
        return own[near]
    near = closest_name(last, every, 0.7)
    return None if near is None else every[near]


def other_names(name: str) -> tuple[str, ...]:
    """The fields and flags that a name of another program can mean: --FLAG, or GROUP.FIELD."""
    return _OTHER_NAMES.get(plain_name(name), ())


def advice_about(name: str) -> str:
    """Advice about a flag of another program that has no counterpart here; "" if there is none."""
    return _ADVICE.get(plain_name(name), "")


def plain_name(name: str) -> str:
    """A name without case, "-", "_" and spaces, in which people often differ."""
    return name.casefold().replace("-", "").replace("_", "").replace(" ", "")


_OTHER_NAMES = {plain_name(name): targets for name, targets in OTHER_NAMES.items()}
_ADVICE = {plain_name(name): text for name, text in ADVICE.items()}
