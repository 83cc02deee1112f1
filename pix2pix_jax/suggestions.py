"""Finds the name that a user meant: of a command, a flag, a field, a value or a file.

`cli` uses this module for every unknown flag, so it imports no library that loads slowly.
"""

import difflib
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

MAX_SIBLINGS = 10_000  # the most names of a folder that are compared with a wrong path

# Names that other programs and papers have for fields and flags, by the fields and flags that they
# mean. A target may include a value. If a name has several targets, the suggestion is the first
# target that the command accepts.
NAMES_BY_TARGETS = {
    "optimizer.learning_rate": "lr alpha step_size",
    "optimizer.b1": "beta1",
    "optimizer.b2": "beta2",
    "optimizer.epsilon": "eps",
    "optimizer.schedule": "lr_policy scheduler lr_schedule",
    "optimizer.schedule=linear_decay": "lr_decay linear_decay",
    "optimizer.decay_interval": "lr_decay_iters",
    "optimizer.decay_factor": "gamma lr_gamma",
    "train.decay_epochs": "n_epochs_decay niter_decay",
    "train.keep": "max_to_keep keep_checkpoints save_total_limit",
    "model.initializer": "init_type initialization",
    "model.initializer_gain": "init_gain",
    "data.shuffle=False": "serial_batches no_shuffle",
    "--max_images data.max_pairs": "max_dataset_size num_test max_samples limit",
    "--running_statistics": "eval eval_mode running_stats",
    "data.batch_size": "bs batch minibatch",
    "train.epochs train.steps": "epochs n_epochs num_epochs max_epochs niter",
    "train.steps": "iterations iters n_iters max_iter total_steps",
    "--step train.epochs train.steps": "epoch",
    "--step --init": "ckpt checkpoint which_epoch load_iter",
    "--workdir": (
        "resume resume_from continue_train logdir run_dir checkpoints_dir checkpoint_dir exp_dir "
        "run model_dir"
    ),
    "train.checkpoint_every": (
        "save_freq save_every save_interval save_steps save_epoch_freq ckpt_every"
    ),
    "train.log_every": "print_freq log_freq log_interval logging_steps",
    "train.sample_every": "display_freq sample_freq",
    "train.evaluate_every": "eval_every eval_freq eval_interval val_freq",
    "--input data.source": (
        "dataroot data_root data_path dataset_path data_folder data in input images input_dir "
        "input_path source src"
    ),
    "--output --workdir": "out output outdir output_dir output_path results_dir save_dir dest",
    "--split": "phase subset",
    "data.name": "dataset dataset_name",
    "--config": "cfg conf configuration experiment yaml",
    "data.direction": "which_direction",
    "data.direction=AtoB": "a2b",
    "data.direction=BtoA": "b2a",
    "data.image_size": "size img_size resolution res imsize fine_size crop_size crop",
    "--input data.image_size": "image",
    "data.load_size": "resize_size scale_size",
    "data.input_channels": "in_channels input_nc in_ch",
    "data.target_channels": "out_channels output_nc out_ch",
    "data.flip": "mirror hflip",
    "data.flip=False": "no_flip",
    "model.features": "ngf nf base_channels width",
    "model.discriminator_features": "ndf",
    "model.generator": "net_g g arch architecture",
    "model.discriminator": "net_d n_layers_d",
    "model.depth": "num_downs n_layers levels",
    "--no_dropout model.dropout=0": "no_dropout",
    "model.norm": "normalization norm_layer",
    "loss.gan": "gan_mode gan_loss loss",
    "loss.l1_weight": "l1 lambda lambda_l1 lambda_a l1_lambda",
    "loss.gradient_penalty": "lambda_gp gp_weight",
    "train.dtype": "precision mixed_precision",
    "train.dtype=bfloat16": "fp16 bf16 amp half",
    "--seed seed": "random_seed",
    "--num_processes": "world_size nnodes num_nodes",
    "--process_id": "rank local_rank node_rank",
    "--samples train.samples": "num_samples n_samples",
    "--weights --init --workdir": (
        "pth pretrained init_from finetune model_path checkpoint_path ckpt_path"
    ),
}
# Values that other programs have for the values of our fields.
VALUES_BY_TARGETS = {
    "train.dtype=bfloat16": "bf16 fp16 16 half amp mixed float16 bf16-mixed 16-mixed bf16-true",
    "train.dtype=float32": "fp32 32 32-true full single float no",
    "model.generator=unet": "unet_32 unet_64 unet_128 unet_256 unet_512 u-net",
    "model.discriminator=patch70": "basic patchgan n_layers",
    "optimizer.schedule=linear_decay": "linear lambda",
    "optimizer.schedule=cosine": "cosine_annealing",
    "optimizer.schedule=constant": "none no fixed",
    "loss.gan=vanilla": "bce gan standard cross_entropy",
    "loss.gan=lsgan": "mse ls l2 least_squares",
    "loss.gan=wgan_gp": "wgan wasserstein wgangp",
    "model.norm=none": "no identity",
}
# Advice about flags of other programs that are neither a flag nor a field here.
NAMES_BY_ADVICE = {
    "all devices are used; choose others by the variables JAX_PLATFORMS, such as "
    "JAX_PLATFORMS=cpu, and CUDA_VISIBLE_DEVICES": (
        "gpu gpus gpu_ids device devices cuda no_cuda cpu tpu"
    ),
    "the program chooses the number of threads that read images; leave this flag out": (
        "num_workers workers num_threads n_jobs"
    ),
    "train always writes TensorBoard events and a page; leave this flag out": (
        "tensorboard use_tensorboard use_wandb wandb display_id"
    ),
    "leave this flag out: translate, evaluate and benchmark replace their own results; export and "
    "import need a new path": ("force overwrite yes"),
    "training resizes images to data.load_size, then crops them to data.image_size; leave this "
    "flag out": ("preprocess"),
    "run pix2pix --version, without a command": ("version v"),
    "give PIX2PIX_DEBUG=1 before the command to see tracebacks of errors": ("verbose debug"),
}
# Advice about switches of other programs: flags without a value, or with the value true or false.
NAMES_BY_SWITCH_ADVICE = {
    "leave this flag out: the same command resumes a run that was stopped": (
        "resume resume_from resume_training auto_resume continue continue_train continue_training "
        "restart"
    ),
}
SWITCH_VALUES = ("", "true", "false", "yes", "no", "on", "off")
# Names that other programs have for our commands.
NAMES_BY_COMMAND = {
    "evaluate": "test eval score validate metrics",
    "translate": "predict infer inference generate run apply",
    "demo": "serve web app ui gui paint draw",
    "export": "convert save onnx",
    "import": "load convert_weights",
    "describe": "summary model info show print",
    "prepare": "data dataset preprocess download",
    "sweep": "ablation ablations grid",
    "benchmark": "bench speed profile time",
    "train": "fit resume start finetune",
    "fields": "config options field flags settings",
    "--help": "help",
    "--version": "version",
}
# Advice about commands of other programs that have no counterpart here.
NAMES_BY_COMMAND_ADVICE = {
    "train, evaluate and sweep write their pages themselves; open report/index.html in the folder "
    "of a run": ("report reports page html plot plots visualize gallery preview"),
    "run make setup in the folder of the repository": ("setup install"),
    "press Ctrl-C to stop a command that runs": ("stop exit quit kill"),
}


def closest_name(name: str, names: Iterable[str], similarity: float = 0.6) -> str | None:
    """The most similar of several names, for "did you mean"; None if no name is similar enough.

    Upper and lower case, "-" and "_" count as equal. A name of one letter has no similar names.

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
    longer = [
        other for other in plain if _is_short_for(other, wanted) or _is_short_for(wanted, other)
    ]
    return plain[longer[0]] if len(longer) == 1 else None


def _is_short_for(short: str, name: str) -> bool:
    return len(short) >= 3 and name.startswith(short)


def similar_path(path: Path) -> Path | None:
    """The existing path that a user meant by a path that does not exist; None if none is similar.

    One name of the two paths differs: the first name of `path` that does not exist.
    """
    parts = list(path.parts)
    for count in range(1, len(parts) + 1):
        parent = Path(*parts[: count - 1])
        if not Path(*parts[:count]).exists():
            try:
                with os.scandir(parent) as entries:
                    names = [entry.name for entry in islice(entries, MAX_SIBLINGS)]
            except OSError:  # The parent is a file, or must not be read.
                return None
            visible = [name for name in sorted(names) if not name.startswith(".")]
            near = closest_name(parts[count - 1], visible, 0.75)
            found = None if near is None else Path(parent, near, *parts[count:])
            return found if found is not None and found.exists() else None
    return None


def fix_path(path: str | Path) -> str:
    """What to do about a path that does not exist: the similar path, if there is one."""
    similar = similar_path(Path(path))
    return "correct the path" if similar is None else f"did you mean {similar}?"


def give_one_of(choices: Iterable[object]) -> str:
    """The end of an error line that offers one or several values."""
    texts = [str(choice) for choice in choices]
    return f"give {texts[0]}" if len(texts) == 1 else f"give one of {', '.join(texts)}"


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
    return OTHER_NAMES.get(plain_name(name), ())


def other_value(field: str, value: str) -> str:
    """The value of a field that a value of another program means; the value itself if none does.

    Args:
      field: the field, GROUP.FIELD.
      value: the value that was given.
    """
    for target, values in VALUES_BY_TARGETS.items():
        name, _, own = target.partition("=")
        if name == field and plain_name(value) in map(plain_name, values.split()):
            return own
    return value


def advice_about(name: str) -> str:
    """Advice about a flag of another program that has no counterpart here; "" if there is none."""
    return ADVICE.get(plain_name(name), "")


def advice_about_switch(name: str, value: str) -> str:
    """Advice about a switch of another program; "" if there is none.

    Args:
      name: the flag, without its dashes.
      value: its value; may be empty. A flag with a value other than true or false is no switch.
    """
    return SWITCH_ADVICE.get(plain_name(name), "") if value.lower() in SWITCH_VALUES else ""


def advice_about_command(name: str) -> str:
    """Advice about a command of another program without a counterpart; "" if there is none."""
    return COMMAND_ADVICE.get(plain_name(name), "")


def plain_name(name: str) -> str:
    """A name without case, "-", "_" and spaces, in which people often differ."""
    return name.casefold().replace("-", "").replace("_", "").replace(" ", "")


OTHER_NAMES = {
    plain_name(name): tuple(targets.split())
    for targets, names in NAMES_BY_TARGETS.items()
    for name in names.split()
}


def _by_name(names_by_text: dict[str, str]) -> dict[str, str]:
    """The texts by each of their names."""
    return {
        plain_name(name): text for text, names in names_by_text.items() for name in names.split()
    }


ADVICE = _by_name(NAMES_BY_ADVICE)
SWITCH_ADVICE = _by_name(NAMES_BY_SWITCH_ADVICE)
COMMAND_ADVICE = _by_name(NAMES_BY_COMMAND_ADVICE)
OTHER_COMMANDS = {
    name: command for command, names in NAMES_BY_COMMAND.items() for name in names.split()
}
