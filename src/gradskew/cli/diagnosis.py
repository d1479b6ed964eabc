"""What is installed, what the machine gives, and what is missing for which command.

Nothing here imports what it looks at: each package is tried in a process of its own, so that one that raises, kills its
process or never returns is a fact like any other.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core import machine

PATIENCE = 30.0  # seconds in which a package must be imported
# What is installed with the package, by distribution: the module that is imported of it.
PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "safetensors": "safetensors",
    "pyarrow": "pyarrow.parquet",
    "pillow": "PIL.Image",
    "numba": "numba",
    "scipy": "scipy",
    "scikit-learn": "sklearn",
    "threadpoolctl": "threadpoolctl",
    "matplotlib": "matplotlib.figure",
    "jinja2": "jinja2",
    "click": "click",
    "rich": "rich.console",
}
# What an extra brings: the module, and the extra. Of Flower our own part, which knows the versions that will do.
EXTRAS = {
    "ray": ("ray", "ray"),
    "flwr": ("gradskew.flower.interface", "flower"),
    "huggingface_hub": ("huggingface_hub", "hub"),
}
ALWAYS = tuple(name for name in PACKAGES if name not in ("pyarrow", "numba"))
# What can be done, and the packages that it needs.
COMMANDS: Mapping[str, Sequence[str]] = {
    "bench": ALWAYS,
    "paper": ALWAYS,
    "skew": ALWAYS,
    "report": ALWAYS,
    "audit": ALWAYS,
    "wide models": (*ALWAYS, "numba"),
    "parquet files": (*ALWAYS, "pyarrow"),
    "flower": (*ALWAYS, "flwr"),
    "--engine ray": (*ALWAYS, "ray"),
    "--download": (*ALWAYS, "pyarrow", "huggingface_hub"),
}


@dataclass(frozen=True)
class Fact:
    """One line: what was looked at and what was found; good: as it should be. details: the same for machines."""

    topic: str
    name: str
    found: str
    good: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)


def examine(out: Path) -> list[Fact]:
    """All facts; out: the folder into which results would go. Takes a few seconds: packages are imported."""
    looked = {**PACKAGES, **{name: module for name, (module, _) in EXTRAS.items()}}
    del looked["torch"]
    with ThreadPoolExecutor(machine.cores()) as pool:
        probing = pool.submit(_probe)  # the slowest of all: first
        packages = list(pool.map(package, looked, looked.values()))
    probed, wrong = probing.result()
    facts = [*system(), *probed, folder("results", out), package("torch", "torch", wrong), *packages]
    return [*facts, *commands(facts)]


def system() -> list[Fact]:
    """Python, the package, the system, cores and memory."""
    try:
        version = importlib.metadata.version("gradskew")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
    used = machine.memory()
    size = "unknown: the system does not tell" if used is None else f"{_gb(used.total)}, {_gb(used.free)} of it free"
    return [
        Fact("system", "python", f"{platform.python_version()}, {sys.executable}"),
        Fact("system", "gradskew", f"{version}, {Path(__file__).parents[1]}", details={"version": version}),
        Fact("system", "platform", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        Fact("system", "cores", str(machine.cores()), details={"cores": machine.cores()}),
        Fact("system", "memory", size, details=dict(used._asdict()) if used else {}),
    ]


def package(name: str, module: str, wrong: str | None = None) -> Fact:
    """A distribution: its version, or what is wrong with it. wrong: what importing it gave, where it was tried."""
    try:
        version = importlib.metadata.version(name)
        missing = importlib.util.find_spec(module.partition(".")[0]) is None
    except (importlib.metadata.PackageNotFoundError, ValueError):
        missing = True
    if missing:
        return Fact("packages", name, "not installed", name in EXTRAS, {"version": None, "usable": False})
    least = _least(name)
    if least is not None and _numbers(version) < _numbers(least):
        wrong = f"{version} is older than {least}"
    elif wrong is None:
        _, wrong = run([f"import {module}"])
    known = {"version": version, "usable": not wrong}
    return Fact("packages", name, wrong or version, not wrong, known)


def _least(name: str) -> str | None:
    """The oldest version that will do, as the package's own metadata says."""
    with suppress(importlib.metadata.PackageNotFoundError):
        for requirement in importlib.metadata.requires("gradskew") or ():
            found = re.match(r"([\w.-]+)(?:\[.*?\])?\s*>=\s*([\d.]+)", requirement)
            if found and found[1].replace("_", "-").lower() == name.replace("_", "-"):
                return found[2]
    return None


def _numbers(version: str) -> list[int]:
    """2.13.0+cpu is [2, 13, 0]."""
    return [int(part) for part in re.match(r"[\d.]*", version)[0].split(".") if part]  # type: ignore[index]


def folder(name: str, path: Path) -> Fact:
    """Whether files can be written there, and the room on its disk; nothing is left behind."""
    there = next(each for each in (path, *path.absolute().parents) if os.path.exists(each))
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        why = error.strerror or error
        return Fact("folders", name, f"{path}: cannot be written ({why})", False, {"path": str(path)})
    return Fact("folders", name, f"{path}: {_gb(free)} free", details={"path": str(path), "free": free})


def commands(facts: Iterable[Fact]) -> list[Fact]:
    """What can be done, and what is missing for what cannot."""
    known = {(fact.topic, fact.name): fact for fact in facts}
    results = known["folders", "results"]
    made = []
    for name, needed in COMMANDS.items():
        lacking = [each for each in needed if not known["packages", each].details["usable"]]
        reasons = [_advice(known["packages", each]) for each in lacking]
        reasons += [] if results.good else ["--out must name a folder that can be written"]
        expected = bool(lacking) and all(each in EXTRAS for each in lacking) and results.good
        details = {"runs": not reasons, "missing": reasons}
        made.append(Fact("commands", name, "; ".join(reasons) or "can run", expected or not reasons, details))
    return made


def _advice(fact: Fact) -> str:
    """How to mend a package: as it says itself, or by installing it again."""
    _, known, how = fact.found.partition("pip install ")
    if known:
        return f"needs {fact.name}: pip install {how}"
    if fact.name in EXTRAS:
        what = f"gradskew[{EXTRAS[fact.name][1]}]"
    else:
        least = _least(fact.name)
        what = fact.name if least is None else f"{fact.name}>={least}"
    again = "" if fact.details["version"] is None or "older" in fact.found else "--force-reinstall "
    return f"needs {fact.name}: pip install {again}'{what}'"


def _probe() -> tuple[list[Fact], str]:
    """The facts that `gradskew.cli.probe` prints, one more if it ended early; and what is wrong with torch, or ``."""
    statements = ["import torch", "print(flush=True)", "from gradskew.cli.probe import main", "main()"]
    lines, wrong = run(statements, 4 * PATIENCE)  # it may have to compile
    if not lines:
        return [], wrong
    facts = []
    for line in lines:
        with suppress(ValueError, TypeError):  # some library's own words
            facts.append(Fact(**json.loads(line)))
    return [*facts, Fact("torch", "probe", wrong, False)] if wrong else facts, ""


def run(statements: Sequence[str], patience: float = PATIENCE) -> tuple[list[str], str]:
    """Run Python statements in a process of its own; returns what it printed and, in a few words, what went wrong."""
    command = [sys.executable, "-P", "-c", "; ".join(statements)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=patience, check=False)
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else ""
        return said.splitlines(), f"does not end within {patience:.0f} s"
    except OSError as error:
        return [], f"cannot start Python: {error.strerror or error}"
    if ended.returncode < 0:
        return ended.stdout.splitlines(), f"kills its process: {signal.Signals(-ended.returncode).name}"
    words = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
    words = words.removeprefix("gradskew.core.errors.InputError: ")  # our own line
    return ended.stdout.splitlines(), f"broken: {words[:200]}" if ended.returncode else ""


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
