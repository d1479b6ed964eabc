"""Completion in the shell, and what the quick commands import."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from gradskew.aggregators import MIXINGS, RULES
from gradskew.attacks import ATTACKS
from gradskew.cli import cli
from gradskew.cli.completion import names
from gradskew.core.presets import PRESETS
from gradskew.data import PARTITIONS, SOURCES
from gradskew.models import MODELS
from gradskew.paper.catalogue import EXPERIMENTS, SCALES

HEAVY = {"torch", "numpy", "scipy", "sklearn", "pandas", "numba", "matplotlib", "pyarrow", "PIL", "jinja2", "rich"}


def completed(line: str) -> list[str]:
    """What is offered for the last word of the line."""
    *before, typed = line.split(" ")
    return [item.value for item in ShellComplete(cli, {}, "gradskew", "_X").get_completions(before, typed)]


@pytest.mark.parametrize("table", [ATTACKS, RULES, MIXINGS, SOURCES, PARTITIONS, MODELS], ids=lambda each: each.kind)
def test_the_names_are_those_of_the_classes(table):
    """The names come from the text of the files, the classes from importing them."""
    assert names(table.kind) == [cls.key for cls in table.classes.values()]
    assert len(names(table.kind)) > 1


def test_the_other_names_are_those_that_the_commands_take():
    assert names("experiment") == list(EXPERIMENTS)
    assert names("scale") == list(SCALES)
    assert names("preset") == list(PRESETS)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("be", ["bench"]),
        ("doctor --js", ["--json"]),
        ("bench --attacks l", ["labelflip", "lie"]),
        ("bench --attacks=none,li", ["none,lie"]),
        ("bench --attacks lie,strike,m", [f"lie,strike,{name}" for name in ("minmax", "minsum", "mimic", "mpaf")]),
        ("bench --attacks lie,l", ["lie,labelflip"]),  # no name twice
        ("bench --attacks lie(z=1.0,li", []),  # inside parentheses there are options, no names
        ("bench --attacks lie(z=1.0),st", ["lie(z=1.0),strike"]),
        ("bench --aggregators r", ["rbtm", "rfa", "rlr"]),
        ("bench --aggregators mean,nnm+rf", ["mean,nnm+rfa"]),
        ("bench --aggregators rfa,r", ["rfa,rbtm", "rfa,rlr"]),
        ("bench --aggregators bucketing(s=2)+nnm+dn", ["bucketing(s=2)+nnm+dnc"]),
        ("bench --dataset ima", ["images", "imagenet12", "imagenette"]),
        ("bench --partition w", ["writer"]),
        ("bench --model cn", ["cnn"]),
        ("bench --preset s", ["strike-authors"]),
        ("bench --rules mean,nnm+r", ["mean,nnm+rbtm", "mean,nnm+rfa", "mean,nnm+rlr"]),
        ("audit --rule nnm+rf", ["nnm+rfa"]),
        ("skew --attack str", ["strike"]),
        ("skew --attacks str", ["strike"]),
        ("skew --aggregator nnm+mu", ["nnm+multikrum"]),
        ("paper table", ["table1", "table2"]),
        ("paper table1 --scale p", ["paper"]),
        ("paper table1 --attacks lie,i", ["lie,ipm"]),
        ("completion z", ["zsh"]),
    ],
)
def test_completes(line, wanted):
    assert completed(line) == wanted


def test_a_new_entry_is_a_rule_or_begins_with_a_mixing():
    wanted = [f"nnm+rfa,{name}" for name in (*RULES, *(f"{mixing}+" for mixing in MIXINGS))]
    assert completed("bench --aggregators nnm+rfa,") == wanted


def test_a_mixing_alone_shows_what_can_stand_behind_it():
    """A shell ends the word after a single offer: the `+` would stand alone."""
    assert completed("bench --aggregators n") == [f"nnm+{rule}" for rule in RULES]
    assert completed("bench --aggregators bucketing+n") == [f"bucketing+nnm+{rule}" for rule in RULES]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_prints_the_script_and_how_to_install_it(shell):
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    first, *script = result.output.splitlines()
    assert first.startswith("# To install: ")
    assert shell in first
    assert "_GRADSKEW_COMPLETE" in "\n".join(script)
    assert "_gradskew_completion" in "\n".join(script)


def test_bash_takes_the_script(tmp_path):
    script = CliRunner().invoke(cli, ["completion", "bash"]).output
    (tmp_path / "script").write_text(script)
    assert subprocess.run(["bash", "-n", tmp_path / "script"], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--help"], {}),
        (["--version"], {}),
        ([], {}),
        (["bench", "--help"], {}),
        (["paper", "--help"], {}),
        (["skew", "--help"], {}),
        (["doctor", "--help"], {}),
        (["completion", "bash"], {}),
        ([], {"_GRADSKEW_COMPLETE": "bash_source"}),
        (
            [],
            {
                "_GRADSKEW_COMPLETE": "bash_complete",
                "COMP_WORDS": "gradskew bench --aggregators nnm+",
                "COMP_CWORD": "3",
            },
        ),
    ],
)
def test_quick_commands_wait_for_no_library(arguments, environment):
    code = "import sys, atexit; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); "
    code += f"from gradskew.cli import main; main({arguments!r})"
    environment = {**os.environ, **environment}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
    modules = set(ended.stderr.split())
    assert "click" in modules
    assert not modules & HEAVY


def test_all_names_are_there_without_a_library():
    kinds = ("attack", "rule", "mixing", "dataset", "partition", "model", "preset", "experiment", "scale")
    code = (
        f"from gradskew.cli.completion import names; [names(kind) for kind in {kinds}]; import sys; print(*sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(ended.stdout.split()) & HEAVY


@pytest.mark.parametrize(
    "then",
    ["pass", "assert gradskew.simulate(gradskew.Run(rounds=1)).pictures"],
    ids=["names", "a run with its pictures"],
)
def test_the_public_names_and_a_run_bring_only_torch(then):
    code = "import gradskew, sys; [getattr(gradskew, name) for name in gradskew.__all__]; "
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}{then}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    modules = set(ended.stdout.split())
    assert {"torch", "gradskew.federation.run"} <= modules
    assert not modules & (HEAVY - {"torch", "numpy", "PIL"})
