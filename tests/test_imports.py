"""The packages have an order: a package imports only from itself and from earlier packages."""

import ast
from pathlib import Path

import pytest

import pix2pix_jax

ORDER = (
    "installation",
    "errors",
    "suggestions",
    "runtime",
    "models",
    "config",
    "data",
    "gan",
    "runs",
    "checkpoints",
    "remote",
    "reports",
    "evaluation",
    "training",
    "inference",
    "interop",
    "sweeps",
    "benchmark",
    "cli",
    "__main__",
)
ROOT = Path(pix2pix_jax.__file__).parent
FILES = [path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem in ORDER]


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_from_packages_before_it(path):
    own = path.relative_to(ROOT).with_suffix("").parts[0]
    for module in imported_modules(path):
        first, *rest = module.split(".")
        if first == "pix2pix_jax" and rest[0] in ORDER:
            assert ORDER.index(rest[0]) <= ORDER.index(own), f"{own} imports {module}"


def test_every_package_has_a_place_in_the_order():
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} < set(ORDER)
