"""Templates escape text and need all their names; their files are installed with the code."""

import tomllib
from pathlib import Path

import jinja2
import pytest

import pix2pix_jax
from pix2pix_jax.reports.page import relative_link, render

PACKAGE = Path(pix2pix_jax.__file__).parent


def test_text_is_escaped():
    page = render("base.html", title="<a> & 'b'")
    assert page.count("&lt;a&gt; &amp; &#39;b&#39;") == 2
    assert "<a>" not in page


def test_a_name_missing_from_a_template_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="'title' is undefined"):
        render("base.html")


def test_links_are_relative_to_the_page():
    page = Path("runs/a b/report/index.html")
    assert relative_link(Path("runs/a b/samples/1.png"), page) == "../samples/1.png"
    assert relative_link(Path("runs/a b/report/e/1.png"), page) == "e/1.png"


def test_templates_and_scripts_are_installed_with_the_code():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    files = [path for path in PACKAGE.rglob("*.*") if path.suffix not in (".py", ".pyc")]
    assert len(files) > 5
    assert [path for path in files if f"*{path.suffix}" not in patterns] == []
