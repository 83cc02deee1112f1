"""Checks that this Python can run pix2pix_jax, before any other module is imported.

An older Python must be able to read this file, so that it can say which Python is needed.
"""

import os
import re
import sys

OLDEST_PYTHON = (3, 11, 4)  # as requires-python in pyproject.toml
OLDEST_JAX = (0, 10)  # as in pyproject.toml
# The dependencies in pyproject.toml, by the names under which they are imported.
MODULES = (
    "absl",
    "array_record",
    "cv2",
    "dm_pix",
    "flatbuffers",
    "flax",
    "fsspec",
    "grain",
    "imagecodecs",
    "importlib_resources",
    "jax",
    "jinja2",
    "markupsafe",
    "matplotlib",
    "ml_dtypes",
    "numpy",
    "optax",
    "orbax",
    "PIL",
    "pydantic",
    "safetensors",
    "tensorboardX",
    "tensorflow_datasets",
    "tifffile",
    "tqdm",
    "typing_extensions",
)
# The folder of the repository, if the package is not installed somewhere else.
REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def check_installation():
    """Checks the version of Python, and that all dependencies are installed.

    Raises:
      ImportError: the line says what is missing, and what to do. A command prints only this line,
        and exits with status 2.
    """
    problem = find_problem()
    if problem and is_command_line():
        sys.stderr.write(problem + "\n")
        sys.exit(2)
    if problem:
        raise ImportError(problem)


def is_command_line():
    """Whether this process is a command, and not a program that imports the package."""
    program = getattr(sys, "argv", [""])[0]
    if program == "-m":  # `python -m MODULE` still imports the package of the module.
        # Python 3.9 and older have no sys.orig_argv.
        words = getattr(sys, "orig_argv", ["-m", "pix2pix_jax"])
        return re.search(r"(^| )-m ?pix2pix_jax( |$)", " ".join(words)) is not None
    if os.path.basename(program) not in ("pix2pix", "pix2pix.exe"):
        return False
    import sysconfig  # Only a command of this name gets here.

    # pip writes its scripts into one of these folders. Another program may have the same name.
    folders = sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")
    folder = os.path.dirname(os.path.realpath(program))
    return folder in map(os.path.realpath, folders)


def find_problem():
    """The line that says why this Python cannot run the package; "" if it can run the package."""
    version = ".".join(map(str, sys.version_info[:3]))
    python = f"{sys.executable} (Python {version})"
    if sys.version_info[:3] < OLDEST_PYTHON:
        oldest, fix = ".".join(map(str, OLDEST_PYTHON)), find_fix("make setup PYTHON=python3.12")
        return f"pix2pix_jax needs Python {oldest} or newer, but this is {python}; {fix}"
    missing = find_missing_modules()
    if not missing:
        return ""
    names = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return f"{python} does not have {names}, which pix2pix_jax needs; {find_fix()}"


def find_missing_modules():
    """The names in MODULES that cannot be imported."""
    from importlib.util import find_spec  # Only a current Python gets here.

    return [name for name in MODULES if name not in sys.modules and find_spec(name) is None]


def find_fix(setup="make setup"):
    """The fix: activate the environment, run `setup`, or install the package again."""
    environment = os.path.join(REPOSITORY, ".venv")
    if not os.path.exists(os.path.join(REPOSITORY, "Makefile")):  # The package is in site-packages.
        return "install it again from its repository, as README.md explains"
    activate = f"`. {environment}/bin/activate`"
    if not os.path.exists(os.path.join(environment, "bin", "python")):
        return f"run `{setup}` in {REPOSITORY}, and then {activate}"
    if os.path.realpath(sys.prefix) != os.path.realpath(environment):
        return f"first run {activate}"
    # A package may have been removed from the environment, so make builds all of it again.
    return f"run `{setup.replace('make', 'make clean')}` in {REPOSITORY}"
