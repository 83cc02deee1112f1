"""metrics.jsonl: one JSON object for every logged step."""

import json
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pix2pix_jax.runtime.files import write_atomically

LINE = TypeAdapter(dict[str, int | float])


def rewind(path: Path, step: int) -> None:
    """Drops the lines of a metrics file after `step`, and a last one that was cut short."""
    lines = [line for line in read_metrics(path) if line["step"] <= step]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    if path.exists() and path.read_bytes() != text.encode():  # on a full disk it can stay
        write_atomically(path, text)


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The objects of a metrics.jsonl, none where there is no file; a broken line is left out."""
    lines = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        with suppress(ValidationError):  # the machine went away while it was written
            lines.append(LINE.validate_json(line, strict=True))
    return [line for line in lines if "step" in line]
