"""The documents tell the truth: their code runs, their commands work, and the pages know every name and option.

A block of Python runs, in the order of its page; one with a title is a file. A command of `gradskew` is parsed; on the
pages of RUN it also runs, for one round, unless it names files that are not here. A comment above a block says that it
is not run, and why: `<!-- not run: needs a GPU -->`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
import yaml

import gradskew
from gradskew.aggregators import MIXINGS, RULES
from gradskew.attacks import ATTACKS
from gradskew.cli import cli
from gradskew.core.grammar import parse_one
from gradskew.core.names import options
from gradskew.core.presets import PRESETS
from gradskew.runs.settings import read_config

ROOT = Path(__file__).parent.parent
PAGES = sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
RUN = {"README.md", "docs/tutorial.md", "docs/audit.md", "docs/howto/report.md"}  # pages whose commands run
REASONS = {
    "needs a GPU",
    "needs pandas",
    "needs a cluster",
    "needs ByzFL",
    "needs Flower",
    "needs Ray",
    "takes minutes",
}
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<not_run>[^>]*) -->\n)?"
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[\w./-]+)\")?\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
SHELLS = {"sh", "console"}
LANGUAGES = {*SHELLS, "python", "toml", "text", "json"}
ABSENT = re.compile(
    r"--dataset (?!digits)|--data\b|--download|--engine ray|\b[A-Z]{3,}\b|^paper|^doctor"
)  # or tested elsewhere
FEW = {  # where a command leaves it open
    "bench": ["--attacks", "none,strike", "--rules", "mean,median"],
    "audit": ["--under", "strike", "--against", "mean,median"],
    "tune": ["--trials", "2", "--lens"],  # the lens, as SMALL draws pictures
}
SMALL = ["--rounds", "1", "--pictures", "0", "--seeds", "1", "--workers", "1"]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; not_run: the reason, if it has one."""

    language: str
    text: str
    title: str | None
    not_run: str | None


def blocks(page: str) -> list[Block]:
    return [Block(**found.groupdict()) for found in BLOCK.finditer((ROOT / page).read_text())]


def commands(text: str) -> list[list[str]]:
    """The commands of gradskew in a block for the shell, as lists of words."""
    lines = [line.removeprefix("$ ") for line in text.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("gradskew ")]


def call(name: str, *words: str, run: bool) -> None:
    """Parse a command; then run it, small, if all that it needs is here."""
    parsed = cli.commands[name].make_context(name, list(words)).params
    if not run or ABSENT.search(" ".join([name, *words])):
        return
    small = SMALL if "rounds" in parsed and parsed.get("matrix") is None else []
    cli.main([name, *FEW.get(name, []), *words, *small], prog_name="gradskew", standalone_mode=False)


SLOW = {"docs/tutorial.md", "docs/audit.md"}


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.processes] if p in SLOW else []) for p in PAGES if blocks(p)],
)
def test_blocks_run(page, tmp_path, monkeypatch, pictures_as_texts):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "sweep.toml").write_text("beta = 0.5\n")
    np.save("updates.npy", np.random.Generator(np.random.PCG64(0)).normal(size=(40, 100)).astype("float32"))
    for block in blocks(page):  # a page may use a file before it shows it
        if block.title == "pyproject.toml":
            assert tomllib.loads(block.text)
        elif block.language == "toml":
            config = tmp_path / (block.title or "sweep.toml")
            config.parent.mkdir(exist_ok=True)
            config.write_text(block.text)
            assert read_config(config, [option.name for option in cli.commands["bench"].params])
        elif block.language == "python" and block.title:
            (tmp_path / block.title).write_text(block.text)
            sys.modules.pop(block.title.removesuffix(".py"), None)  # another page's
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language in SHELLS:
            for name, *words in commands(block.text):
                call(name, *words, run=page in RUN and block.not_run is None)
        elif block.language == "python" and block.title is None and block.not_run is None:
            exec(compile(block.text, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_is_of_a_known_kind(page):
    found = blocks(page)
    assert (ROOT / page).read_text().count("```") == 2 * len(found)
    assert {block.language for block in found} <= LANGUAGES
    assert {block.not_run for block in found} <= {None, *REASONS}


def test_a_fence_of_another_kind_would_be_seen():
    assert BLOCK.search("```sh\ngradskew list\n```\n")["not_run"] is None
    assert BLOCK.search("<!-- not run: needs a GPU -->\n```sh\nx\n```\n")["not_run"] == "needs a GPU"
    assert BLOCK.search('```python title="a.py"\nx\n```\n')["title"] == "a.py"
    assert BLOCK.search("```\nx\n```\n") is None
    with pytest.raises(click.UsageError):
        call("bench", "--round", "3", "extra", "more", run=False)


@pytest.mark.parametrize("registry", [RULES, MIXINGS, ATTACKS], ids=lambda registry: registry.kind)
def test_semantics_page_has_every_name_and_option(registry):
    page = (ROOT / "docs/semantics.md").read_text()
    for name, cls in registry.classes.items():
        assert f"`{name}`" in page, name
        for field in options(cls):
            assert f"`{field.name}`" in page, f"{name}({field.name})"


def test_semantics_page_has_the_values_of_every_preset():
    """Each cell is a list of methods with the options that they all get: `median`, `aksel`: `middle=upper`; ..."""
    page = (ROOT / "docs/semantics.md").read_text()
    for preset in PRESETS:
        line = next(line for line in page.splitlines() if line.startswith(f"| `{preset}`"))
        written: dict[str, dict[str, object]] = {}
        for names, changes in re.findall(r"((?:`\w+`(?:, )?)+): ((?:`\w+=[^`]*`(?:, )?)+)", line):
            given = ",".join(re.findall(r"`(\w+=[^`]*)`", changes))
            for name in re.findall(r"`(\w+)`", names):
                written.setdefault(name, {}).update(parse_one(f"{name}({given})", "method")[1])
        classes = {key: cls for each in (RULES, MIXINGS, ATTACKS) for key, cls in each.classes.items()}
        assert written == {key: dict(cls.preset(preset)) for key, cls in classes.items() if cls.preset(preset)}, preset


def test_reliability_page_names_tests_that_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/reliability.md").read_text())
    assert len(named) > 9
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(), test


def leaves(entry: object) -> list[str]:
    """The pages in a part of the navigation."""
    parts = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else []
    return [entry] if isinstance(entry, str) else [leaf for part in parts for leaf in leaves(part)]


def test_every_page_is_in_the_navigation():
    shown = leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert len(set(shown)) == len(shown)
    assert {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")} <= set(shown)


def test_every_picture_is_there():
    for page in PAGES:
        for target in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", (ROOT / page).read_text()):
            assert (ROOT / page).parent.joinpath(target).is_file(), (page, target)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    # not --quiet: it would keep the warnings from --strict
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.release
@pytest.mark.xdist_group("site")
def test_reference_has_every_public_name(site):
    inventory = zlib.decompress((site / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    known = {line.split(" ", 1)[0] for line in inventory.splitlines()}
    for module in (gradskew, gradskew.attacks, gradskew.aggregators, gradskew.skew):
        for name in module.__all__:
            thing = getattr(module, name)
            defined = f"{thing.__module__}.{thing.__qualname__}" if hasattr(thing, "__qualname__") else ""
            package = getattr(thing, "__name__", "")
            assert {f"{module.__name__}.{name}", defined, package} & known, f"{module.__name__}.{name}"


@pytest.mark.release
@pytest.mark.xdist_group("site")
def test_site_fetches_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        assert not re.findall(r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?https?:", page.read_text()), page
