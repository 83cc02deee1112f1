"""Reads the names and comments of all fields from the source of `config.schema`.

Importing the schema takes a fifth of a second, because the schema imports Pydantic. Reading its
source takes a few milliseconds, so the error of an unknown flag comes at once.
"""

import ast
from pathlib import Path

SCHEMA_FILE = Path(__file__).parents[2] / "config" / "schema.py"


def read_comments() -> dict[str, str]:
    """The comments of all fields, by GROUP.FIELD, in the order of the schema.

    The comment of a group is the docstring of its class. A group stands before its fields.
    """
    source = SCHEMA_FILE.read_text(encoding="utf-8")
    lines = source.splitlines()
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    comments = {}
    for name, annotation, line in _fields(classes["Config"]):
        if annotation not in classes:
            comments[name] = _comment_above(lines, line)
            continue
        group = classes[annotation]
        comments[name] = ast.get_docstring(group) or ""
        for field, _, line_of_field in _fields(group):
            comments[f"{name}.{field}"] = _comment_above(lines, line_of_field)
    return comments


def read_field_names() -> list[str]:
    """The names of all fields, as `config.fields.field_names`, without importing the schema."""
    comments = read_comments()
    groups = {name.partition(".")[0] for name in comments if "." in name}
    return [name for name in comments if name not in groups]


def _fields(group: ast.ClassDef) -> list[tuple[str, str, int]]:
    """The name, the annotation and the line of each field of a class."""
    nodes = [node for node in group.body if isinstance(node, ast.AnnAssign)]
    return [(ast.unparse(node.target), ast.unparse(node.annotation), node.lineno) for node in nodes]


def _comment_above(lines: list[str], line: int) -> str:
    """The comment that ends above a line, numbered from 1, as one line of text."""
    first = line - 1
    while lines[first - 1].strip().startswith("#"):
        first -= 1
    return " ".join(text.strip().removeprefix("#").strip() for text in lines[first : line - 1])
