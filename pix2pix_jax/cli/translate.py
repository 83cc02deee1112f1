"""`pix2pix translate`: translate an image, a folder of images, or a pattern of files."""

import argparse

from pix2pix_jax.cli.flags.options import (
    FlagValues,
    add_running_statistics,
    add_step,
    load_config,
    require,
    require_run,
    statistics_options,
)
from pix2pix_jax.cli.flags.values import parse_path, parse_positive, parse_uint32

HELP = "translate an image, a folder of images, or a pattern of files"
EXAMPLE = "--workdir=runs/first --input=photos --output=translated"
WHEN_STOPPED = "the same command starts again from the beginning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for the checkpoint, the images, the output folder, noise and image size."""
    add_step(parser)
    parser.add_argument(
        "--input",
        metavar="FILE_OR_DIR",
        help="(required) image, folder of images, or pattern of files in quotes, such as "
        "'photos/*.png'",
    )
    parser.add_argument(
        "--output",
        type=parse_path,
        metavar="DIR",
        help="(required) folder to write the translated images to; created if it does not exist",
    )
    parser.add_argument(
        "--seed",
        type=parse_uint32,
        metavar="K",
        help="seed of the dropout; default: the seed of the run",
    )
    parser.add_argument(
        "--samples",
        type=parse_positive,
        default=1,
        metavar="N",
        help="number of outputs for each image; default: 1",
    )
    parser.add_argument(
        "--no_dropout",
        action="store_true",
        help="switch dropout off; default: dropout is on, as in the paper",
    )
    add_running_statistics(parser)
    parser.add_argument(
        "--max_images",
        type=parse_positive,
        metavar="N",
        help="translate only the first N images; default: all",
    )
    add_size_flags(parser)


def add_size_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for the size of images, and for the half to translate."""
    parser.add_argument(
        "--tile",
        type=parse_positive,
        metavar="SIDE",
        help="translate images in tiles of SIDE x SIDE pixels; default: each image as a whole",
    )
    parser.add_argument(
        "--resize",
        action="store_true",
        help="scale images to the training size, and scale the outputs back",
    )
    parser.add_argument(
        "--half",
        choices=("left", "right", "none"),
        help="half of each image to translate, or none for whole images; default: the input's "
        "half of images that have the proportions of the run's side-by-side pairs",
    )
    parser.add_argument(
        "--max_megapixels",
        type=parse_positive,
        metavar="N",
        help="largest image in millions of pixels; default: 100, or 1000 with --tile",
    )


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Translates images; returns status 2 if an image could not be translated."""
    source = require(options, "input", "give an image or a folder, e.g. --input=photos")
    output = require(options, "output", "give a folder, e.g. --output=translated")
    workdir = require_run(options)
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
        max_images=options.max_images,
        max_megapixels=options.max_megapixels,
        use_dropout=not options.no_dropout,
        statistics=statistics_options(options, not options.no_dropout),
        half=options.half,
    )
    return translate_files(config, workdir, source, output, translate_options)
