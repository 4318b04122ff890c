"""Markdown: lines that fit, links that lead somewhere, paths and names that exist, pictures for light and dark."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer.main

from switchyard.cli.main import app
from switchyard.core.bundled import ROOT

LONGEST_LINE = 120
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
)
PAGES = [ROOT / name for name in LISTED.stdout.split() if (ROOT / name).exists()]
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")
FOLDERS = "jobs|udfs|sql|agent_endpoints|deploy|switchyard|tests|docs|benchmarks"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./-]+)`")
CODE_NAME = re.compile(r"`((?:switchyard|core|flink|worker)\.[\w.]+)`")


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_fit(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > LONGEST_LINE] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_found_from_the_index() -> None:
    docs = ROOT / "docs"
    linked = {(docs / link.partition("#")[0]).resolve() for link in LINK.findall(prose(docs / "README.md"))}
    pages = {page for page in PAGES if page.is_relative_to(docs) and "generate" not in page.parts}
    assert pages - linked == {docs / "README.md"}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if not {"adr", "skeleton", "CHANGELOG.md"} & set(page.parts)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_paths_exist(page: Path) -> None:
    missing = [path for path in PATH.findall(prose(page)) if not (ROOT / path).exists()]
    assert missing == []


def commands(page: Path) -> list[list[str]]:
    """The lines of a page's fenced blocks that run `switchyard`, in words; what stands behind `#` left out."""
    blocks = re.findall(r"^```(console)?\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    starts = [
        (re.compile(r"\$ switchyard (?=[a-z])" if kind else r"switchyard (?=[a-z])"), text) for kind, text in blocks
    ]
    lines = [
        line[found.end() :] for start, text in starts for line in text.splitlines() if (found := start.match(line))
    ]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_that_is_shown_exists_and_has_these_options(page: Path) -> None:
    for words in commands(page):
        command: Any = typer.main.get_command(app)
        context = command.make_context("switchyard", [], resilient_parsing=True)
        while words and hasattr(command, "get_command"):
            name, *words = words
            command = command.get_command(context, name)
            assert command is not None, name
        options = {name for parameter in command.get_params(context) for name in parameter.opts}
        unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in options]
        assert unknown == [], command.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_make_is_said_to_do_is_a_target(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"^make ([a-z-]+)", page.read_text(encoding="utf-8"), re.M)) <= targets


def exists(name: str) -> bool:
    """Whether there is such a module, or such a name in one."""
    full = name if name.startswith("switchyard") else f"switchyard.{name}"
    module, _, attribute = full.rpartition(".")
    try:
        importlib.import_module(full)
        return True
    except ImportError:
        pass
    try:
        return hasattr(importlib.import_module(module), attribute)
    except ImportError:
        return False


def test_the_code_of_the_glossary_exists() -> None:
    names = CODE_NAME.findall((ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))
    assert [name for name in names if not exists(name)] == []


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "images").glob("*.svg")), ids=lambda path: path.name)
def test_a_picture_is_readable_in_light_and_dark_and_without_seeing_it(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert "@media (prefers-color-scheme: dark)" in text
    root = ElementTree.fromstring(text)
    names = {element.tag.rpartition("}")[2] for element in root}
    assert {"title", "desc"} <= names
    assert "script" not in names
