"""`pix2pix translate`: translate a file, a folder or a pattern."""

import argparse

from pix2pix_jax.cli.options import (
    Fields,
    add_step,
    load_config,
    parse_path,
    parse_positive,
    parse_seed,
    require_run,
)
from pix2pix_jax.errors import UsageError

HELP = "translate a file, a folder or a pattern"
EXAMPLE = "--workdir=runs/first --input=photos --output=translated"
WHEN_STOPPED = "the same command begins anew"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to translate, where to, and how."""
    add_step(parser)
    parser.add_argument("--input", metavar="FILE_OR_DIR", help="image, folder or pattern")
    parser.add_argument("--output", type=parse_path, metavar="DIR", help="where PNGs go")
    parser.add_argument("--seed", type=parse_seed, metavar="K", help="default: the run's")
    parser.add_argument(
        "--samples", type=parse_positive, default=1, metavar="N", help="of each, by dropout"
    )
    parser.add_argument("--no_dropout", action="store_true", help="nothing is random")
    parser.add_argument(
        "--tile", type=parse_positive, metavar="SIDE", help="cut large images into tiles"
    )
    parser.add_argument(
        "--resize", action="store_true", help="scale to the size of training, and back"
    )


def run(options: argparse.Namespace, fields: Fields) -> int:
    """Translates images; status 2 if one could not be translated."""
    workdir = require_run(options)
    for name, example in (("input", "photo.png, or a folder"), ("output", "translated, a folder")):
        if not getattr(options, name):
            raise UsageError(f"--{name}: translate needs one, e.g. --{name}={example}")
    config = load_config(options, fields)
    from pix2pix_jax.runtime.backend import start_backend

    start_backend()
    from pix2pix_jax.inference.options import TranslateOptions
    from pix2pix_jax.inference.translate import translate_files

    translate_options = TranslateOptions(
        step=options.step,
        seed=options.seed,
        samples=options.samples,
        tile=options.tile,
        resize=options.resize,
        use_dropout=not options.no_dropout,
    )
    return translate_files(config, workdir, options.input, options.output, translate_options)
