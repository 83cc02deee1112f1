"""The pages agree with the code: commands, links, names of functions, and messages."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from pix2pix_jax.cli.main import COMMANDS, parse
from pix2pix_jax.config.experiments import load_experiment
from pix2pix_jax.config.files import override
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.resume import free_fields
from pix2pix_jax.config.schema import Config
from pix2pix_jax.sweeps.sweep_file import load_sweep

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/**/README.md")]
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PROGRAMS = (["pix2pix"], ["python", "-m", "pix2pix_jax"])
MAX_README_LINES = 110


def code_blocks(text: str) -> list[str]:
    """The fenced and the indented blocks of code of a page, and the code inside its sentences."""
    fenced = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:^ {4}.*\n)+", prose, re.MULTILINE)
    return [*fenced, *indented, *re.findall(r"`([^`\n]+)`", prose)]


def commands(text: str) -> list[list[str]]:
    """The arguments of every pix2pix command in the code of a page.

    The function replaces a shell variable with "0", because it does not know the value.
    """
    found = []
    for block in code_blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            if not re.search(r"\bpix2pix(_jax)? [a-z]", line):
                continue
            line = re.sub(r"\$\{?\w+\}?", "0", line)
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)  # drops comments
            lexer.whitespace_split = True
            words = []
            for word in [*lexer, ";"]:
                if not re.fullmatch(r"[();<>|&]+", word):
                    words.append(word)
                    continue
                found += [arguments for arguments in [command_arguments(words)] if arguments]
                words = []
    return found


def command_arguments(words: list[str]) -> list[str]:
    """The words after `pix2pix`; none if the line runs another program."""
    for start in range(len(words)):
        for program in PROGRAMS:
            if words[start : start + len(program)] == program:
                return words[start + len(program) :]
    return []


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


COMMAND_LINES = [(page, arguments) for page in PAGES for arguments in commands(page.read_text())]


@pytest.mark.parametrize(
    "arguments",
    [arguments for _, arguments in COMMAND_LINES],
    ids=[f"{page.relative_to(ROOT)}: {shlex.join(words)}" for page, words in COMMAND_LINES],
)
def test_every_command_on_a_page_parses(arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    options, fields = parse(arguments)
    override(Config(), fields)  # fails if a field or its value is not valid
    if options.config and options.config.startswith("experiments/"):
        if options.command == "sweep":
            load_sweep(options.config, options.seeds, fields)
        else:
            resolve(override(load_experiment(options.config), fields))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_in_the_help_of_a_command_parses(name):
    options, fields = parse([name, *shlex.split(COMMANDS[name].EXAMPLE)])
    assert options.command == name
    override(Config(), fields)


def test_every_command_has_an_example_on_a_page():
    assert {arguments[0] for _, arguments in COMMAND_LINES} == set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_targets_of_links_and_pictures_exist(page):
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_list_of_contents():
    listed = set(LINK.findall((ROOT / "docs/README.md").read_text()))
    assert {page.name for page in ROOT.glob("docs/*.md") if page.name != "README.md"} <= listed


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MAX_README_LINES


def test_commands_are_found_in_sentences_and_in_blocks():
    page = (
        "Text with `pix2pix prepare` and `pix2pix_jax/cli`.\n\n"
        "    pix2pix train --config=a.py \\\n        --workdir=b    # a comment\n\n"
        "```bash\nfor i in 1 2; do pix2pix sweep --index=$i; done\n"
        "time python -m pix2pix_jax demo --port=0\npip install -e '.[cuda]'\n```\n"
    )
    assert sorted(commands(page)) == [
        ["demo", "--port=0"],
        ["prepare"],
        ["sweep", "--index=0"],
        ["train", "--config=a.py", "--workdir=b"],
    ]


def test_the_sweep_on_the_page_of_ablations_loads(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs/ablations.md").read_text()
    [block] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "rates.py").write_text(block)
    sweep = load_sweep(str(tmp_path / "rates.py"), None, {})
    assert [name for name, _ in sweep.variants] == [
        "rate0.0001/seed0",
        "rate0.0002/seed0",
        "rate0.0001/seed1",
        "rate0.0002/seed1",
    ]


def strings_of(folder: Path) -> list[str]:
    """All strings in the code of a folder. An f-string gives only its constant parts."""
    found = []
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [str(part.value) for part in node.values if isinstance(part, ast.Constant)]
                found.append("\0".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


@pytest.mark.parametrize("page", ["clusters.md", "troubleshooting.md"])
def test_messages_on_the_pages_are_messages_of_the_package(page):
    table = (ROOT / "docs" / page).read_text().partition("| event | message | what to do |\n")[2]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")]
    messages = [span for row in rows for span in re.findall(r"`([^`]+)`", row[2])]
    assert len(messages) >= len(rows) > 0
    # A run replaces these parts: flags, processes, reasons, paths, metrics, fields and numbers.
    filled_in = (
        r"^--\w+:|process \d( of \d| on HOST)?|\(.*?\)|\.\.\.|gs://\S*|\S*\d\S*"
        r"|loss/generator_gan|\bnan\b|(?<=another )\w+\.\w+"
    )
    strings = strings_of(ROOT / "pix2pix_jax")
    for message in messages:
        for part in re.sub(filled_in, "\n", message).splitlines():
            assert any(part.strip(" /,") in string for string in strings), (message, part)


def test_names_and_packages_on_the_page_of_internals_exist():
    text = (ROOT / "docs/internals.md").read_text()
    for name, path in re.findall(r"`([\w.]+)` in \[`[^`]+`\]\(\.\./([^)]+\.py)\)", text):
        code = (ROOT / path).read_text()
        for part in name.split("."):
            assert re.search(rf"\b{part}\b", code), (name, path)
    tree = ast.parse((ROOT / "tests/test_imports.py").read_text())
    [order] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ORDER"
    ]
    packages = re.findall(r"^\| \[`(\w+)(?:\.py)?`\]\(\.\./pix2pix_jax/", text, re.MULTILINE)
    assert packages == [name for name in order if name != "__main__"]
    reading_order = re.findall(r"^\d+\. \[`", text, re.MULTILINE)
    assert 0 < len(reading_order) <= 12


def test_the_page_of_training_lists_the_fields_that_may_change():
    text = (ROOT / "docs/training-and-resume.md").read_text().partition("Only these fields")[2]
    named = set(re.findall(r"`(\w+\.\w+)`", text))
    free = free_fields(Config())
    assert free <= named
