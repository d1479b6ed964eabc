"""Digests last: those of the stored results and of known command lines, and an option that is added later."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from gradskew import aggregators, attacks, data, models
from gradskew.aggregators import Median
from gradskew.cli import cli
from gradskew.cli.options import _click_options
from gradskew.cli.replay import run_of
from gradskew.core.errors import InputError
from gradskew.core.names import FIRST, canonical, describe
from gradskew.core.options import option
from gradskew.data import base
from gradskew.federation.optimizer import SGD
from gradskew.federation.run import Run
from gradskew.federation.schema import SEMANTICS
from gradskew.runs.settings import make_runs

RESULTS = Path(__file__).parent.parent.parent / "results" / "runs"
SHAPES = {"fashion_mnist": (28, 28), "cifar10": (3, 32, 32), "imagenette": (3, 32, 32)}
LINES = json.loads((Path(__file__).parent / "digests.json").read_text())


def test_the_stored_results_are_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each record's folder has the digest of its run as this version makes it; the images stay where they are."""
    folders = sorted(RESULTS.iterdir())
    assert len(folders) > 500
    for folder in folders:
        spec = json.loads((folder / "record.json").read_text())["spec"]
        run = run_of(spec)
        stored = SimpleNamespace(digest=spec["data_sha256"], shape=SHAPES[run.source.key], num_classes=10)
        monkeypatch.setitem(base._loaded, run.source, stored)
        own = {key: spec[key] for key in ("torch", "numpy", "semantics")}
        content = {**run.content, **own}
        assert content == spec
        assert 1 <= spec["semantics"] <= SEMANTICS
        assert hashlib.sha256(canonical(content).encode()).hexdigest() == folder.name


@pytest.mark.parametrize("line", LINES)
def test_command_lines_have_the_digests_of_the_first_version(line: str) -> None:
    """Computed by the version before options were fields: all methods, presets and what is in a spec only at times.

    The lens and the semantics had the version 1 then. The preset `byzfl` had fewer options: its line is of now.
    """
    context = cli.commands["bench"].make_context("bench", shlex.split(line))
    runs = make_runs({name: value for name, value in context.params.items() if name not in ("out", "workers")})
    earlier = {"torch": "", "numpy": "", "semantics": 1, **({"lens": 1} if runs[0].lens else {})}
    contents = [canonical({**run.content, **earlier}) for run in runs]
    digests = [hashlib.sha256(content.encode()).hexdigest() for content in contents]
    assert [len(runs), hashlib.sha256("\n".join(digests).encode()).hexdigest()] == LINES[line]


@dataclass(frozen=True, kw_only=True)
class Later(Run):
    """A run with one option more."""

    steps: int = option(0, at_least=0, help="Local steps.")
    colour: str = option("red", choices=("red", "blue"))


def test_a_later_option_of_a_run_counts_where_it_is_changed() -> None:
    assert Later().digest == Run().digest
    changed = Later(steps=2, colour="blue")
    assert changed.content == {**Run().content, "steps": 2, "colour": "blue"}
    assert len({Run().digest, changed.digest, replace(changed, steps=3).digest, replace(changed, steps=0).digest}) == 4


def test_a_later_option_is_checked_and_on_the_command_line_without_another_line() -> None:
    for wrong in ({"steps": -1}, {"steps": 1.0}, {"colour": "x"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Later(**wrong)
    made = _click_options("federation", Later)
    assert "steps" in made
    assert "colour" not in made, "it has no help: it is not for the command line"
    command = made["steps"](click.command()(lambda steps: click.echo(repr(steps))))
    assert CliRunner().invoke(command, ["--steps", "3"]).output == "3\n"


def later(base: type, module: str) -> Any:
    """A rule with one option more than its base, in a module of this name."""
    return dataclasses.make_dataclass(
        base.__name__, [("extra", int, 0)], bases=(base,), namespace={"__module__": module}, frozen=True, kw_only=True
    )


def test_a_later_option_of_a_method_counts_where_it_is_changed() -> None:
    ours = later(Median, "gradskew.aggregators.median")
    assert describe(ours()) == describe(Median()) == {"name": "median", "middle": "midpoint"}
    assert describe(ours(extra=1)) == {"name": "median", "middle": "midpoint", "extra": 1}
    assert ours(extra=1).name == "median(extra=1)"
    theirs = later(Median, "somebody.rules")  # their file is in the digest: nothing of it is left out
    assert describe(theirs()) == {"name": "median", "middle": "midpoint", "extra": 0}


def test_the_first_options_are_still_there() -> None:
    """An option that was renamed or taken away would be missing from the digests of stored results."""
    classes = [*attacks.ATTACKS.classes.values(), *aggregators.RULES.classes.values(), SGD]
    classes += [
        *aggregators.MIXINGS.classes.values(),
        *models.MODELS.classes.values(),
        *data.PARTITIONS.classes.values(),
    ]
    for cls in classes:
        assert FIRST.get(cls.key, set()) <= {field.name for field in dataclasses.fields(cls)}, cls.key
