"""`gradskew doctor`: what is installed, what the machine gives, what is missing for which command."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from ..core import machine
from ..core.errors import InputError
from ..core.importing import one_line, time_limit
from .options import OUT

PATIENCE = 60.0  # seconds that the import of a package may take
# What every command needs, and what some need beside it.
ALWAYS = "torch numpy safetensors msgspec pillow scipy scikit-learn threadpoolctl matplotlib jinja2 click rich"
ALWAYS += " lazy_loader"
COMMANDS = {
    **dict.fromkeys(("bench", "paper", "skew", "report", "audit"), ""),
    "wide models": "numba",
    "parquet files": "pyarrow",
    "flower": "flwr",
    "--engine ray": "ray",
    "--download": "pyarrow huggingface_hub",
}
EXTRAS = "flwr ray huggingface_hub"  # may be missing
PACKAGES = f"{ALWAYS} numba pyarrow {EXTRAS}".split()
# The module to import, where its name is another. Our own part of Flower checks the versions that it can use.
MODULES = {"pillow": "PIL.Image", "scikit-learn": "sklearn", "flwr": "gradskew.flower.interface"}


@dataclass(frozen=True)
class Fact:
    """One line of the page; good: nothing needs to be mended. details: the same as data, for `--json`."""

    topic: str
    name: str
    text: str
    good: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Folder for the results.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for machines.")
def doctor(out: Path, as_json: bool) -> None:
    """Show what is installed, what the machine gives, and what is missing for which command.

    Nothing is changed and nothing is downloaded. Exit status 0 if `gradskew bench` can run, else 1.
    """
    facts = examine(out)
    if as_json:
        topics: dict[str, dict[str, object]] = {}
        for fact in facts:
            topics.setdefault(fact.topic, {})[fact.name] = {"found": fact.text, "good": fact.good, **fact.details}
        click.echo(json.dumps(topics, indent=1))
    else:
        width = max(len(fact.name) for fact in facts)
        for topic, group in groupby(facts, key=lambda fact: fact.topic):
            click.echo(click.style(topic, bold=True))
            for fact in group:
                click.echo(f"{' ' if fact.good else '!'} {fact.name:<{width}}  {fact.text}")
    click.get_current_context().exit(next(0 if fact.details["runs"] else 1 for fact in facts if fact.name == "bench"))


def examine(out: Path) -> list[Fact]:
    """Return all facts, topic by topic; out: the folder for the results. Imports every package: a few seconds."""
    if error := torch_error():
        sys.modules["torch"] = None  # type: ignore[assignment]  # importing it raises now, and ends no process
    packages = [package(name, error if name == "torch" else "") for name in PACKAGES]
    results = folder("results", out)
    facts = [*system(), *tried("torch", devices), *tried("torch", kernels), *tried("data", data)]
    return [*facts, results, *packages, *commands(packages, results.good)]


def torch_error() -> str:
    """Import torch in a process of its own, which a wrong build may kill; return what is wrong, "" if nothing."""
    command = [sys.executable, "-P", "-c", "import torch"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return f"its import does not end within {PATIENCE:.0f} s"
    if ended.returncode < 0:
        return f"kills its process: {signal.Signals(-ended.returncode).name}"
    lines = ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"]
    return f"broken: {lines[-1][:200]}" if ended.returncode else ""


def tried(topic: str, look: Callable[[], Iterator[Fact]]) -> list[Fact]:
    """Return the facts that a function yields, or the error that it raises as a fact."""
    try:
        return list(look())
    except Exception as error:  # whatever a broken library raises
        return [Fact(topic, look.__name__, f"broken: {one_line(error)}", False)]


def system() -> Iterator[Fact]:
    """Yield Python, the package, the platform, cores and memory."""
    used = machine.memory()
    size = f"{_gb(used.total)}, {_gb(used.free)} of it free" if used else "unknown on this system"
    yield Fact("system", "python", f"{platform.python_version()}, {sys.executable}")
    with suppress(importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version("gradskew")
        yield Fact("system", "gradskew", f"{version}, {Path(__file__).parents[1]}", details={"version": version})
    yield Fact("system", "platform", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield Fact("system", "cores", str(machine.cores()), details={"cores": machine.cores()})
    yield Fact("system", "memory", size, details=used._asdict() if used else {})


def devices() -> Iterator[Fact]:
    """Yield torch's threads and the GPUs that it can use, or why there is none."""
    import torch

    threads, built = torch.get_num_threads(), torch.version.cuda
    yield Fact("torch", "threads", f"{threads} (a run takes --threads, 1 by default)", details={"threads": threads})
    if not torch.cuda.is_available():
        why = f"torch is built for CUDA {built}, but finds no GPU" if built else "this torch is built for the CPU only"
        yield Fact("torch", "gpu", f"none: {why}", details={"built": built, "gpus": 0})
    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        yield Fact("torch", f"cuda:{number}", f"{gpu.name}, {_gb(gpu.total_memory)}", details={"name": gpu.name})


def kernels() -> Iterator[Fact]:
    """Compile a kernel, or load it, compare its result with one by hand, and yield where compiled code is kept."""
    import torch

    from ..core import kernels

    (square,) = kernels.squared_distances_to(torch.tensor([[3.0, 4.0]]), torch.zeros(2)).tolist()
    compiled: Any = kernels._squares
    kept = compiled.stats.cache_path
    text = f"compiled, kept in {kept}" if kept else "compiled anew in each process: set NUMBA_CACHE_DIR to a folder"
    text = text if square == 25 else f"wrong: the squared length of (3, 4) is not {square}"
    yield Fact("torch", "kernels", text, square == 25, {"kept": kept})


def data() -> Iterator[Fact]:
    """Yield where the files of data sets are, which have been decoded, and whether they can be kept."""
    from ..data import FashionMNIST, cache

    yield Fact("data", "digits", "embedded")
    usual = FashionMNIST.default_folder
    exists = usual.is_dir() and FashionMNIST().find(usual) is not None
    yield Fact("data", FashionMNIST.key, str(usual) if exists else f"not in {usual}: --data names its folder")
    names = set()
    for path in cache.root().glob(f"*/{cache.ABOUT}"):
        with suppress(OSError, ValueError, LookupError, TypeError):  # a damaged entry
            names.add(str(json.loads(path.read_text())["about"]["name"]))
    yield Fact("data", "decoded", ", ".join(sorted(names)) or "none yet", details={"names": sorted(names)})
    yield folder("cache", cache.root())


def folder(name: str, path: Path) -> Fact:
    """Return whether files can be written to a folder, or to one made there, and what is free on its disk."""
    existing = next(each for each in (path, *path.absolute().parents) if os.path.exists(each))
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        return Fact(
            "folders", name, f"{path}: cannot be written ({error.strerror or error})", False, {"path": str(path)}
        )
    return Fact("folders", name, f"{path}: {_gb(free)} free", details={"path": str(path), "free": free})


def package(name: str, error: str = "") -> Fact:
    """Import a package; return its version, or what is wrong and how to install it. error: known to be wrong."""
    needed, option, version = requirement(name), "", None
    oldest = re.search(r">=\s*([\d.]+)", needed)
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        error = "not installed"
    else:
        if not error and oldest and _numbers(version) < _numbers(oldest[1]):
            error = f"{version} is older than {oldest[1]}"
        elif error := error or import_error(MODULES.get(name, name)):
            option = "--force-reinstall "
    if error and "pip install" not in error:
        error += f": {shlex.quote(sys.executable)} -m pip install {option}{shlex.quote(needed)}"
    good = not error or (version is None and name in EXTRAS.split())
    return Fact("packages", name, error or str(version), good, {"version": version, "usable": not error})


def requirement(name: str) -> str:
    """Return the requirement of a package in our own metadata, such as `numba>=0.60`; else its name alone."""
    with suppress(importlib.metadata.PackageNotFoundError):
        for line in importlib.metadata.requires("gradskew") or ():
            if re.split(r"[^\w-]", line)[0] == name:
                return line.partition(";")[0].strip()
    return name


def import_error(module: str) -> str:
    """Import a module, whatever it prints or raises; return what is wrong, "" if nothing."""
    quiet = io.StringIO()
    try:
        with (
            time_limit(PATIENCE),
            redirect_stdout(quiet),
            redirect_stderr(quiet),
            warnings.catch_warnings(action="ignore"),
        ):
            importlib.import_module(module)
    except InputError as error:  # our own line
        return str(error)
    except (Exception, SystemExit) as error:
        return f"broken: {one_line(error)}"
    return ""


def commands(packages: Sequence[Fact], can_write: bool) -> Iterator[Fact]:
    """Yield for each command whether it can run, or what it needs. Without an extra, nothing is wrong."""
    missing = {fact.name for fact in packages if not fact.details["usable"]}
    bad = {fact.name for fact in packages if not fact.good}
    for name, more in COMMANDS.items():
        needed = f"{ALWAYS} {more}".split()
        reasons = [f"needs {each}" for each in needed if each in missing]
        reasons += [] if can_write else ["--out must name a folder that can be written"]
        good = can_write and bad.isdisjoint(needed)
        yield Fact("commands", name, "; ".join(reasons) or "can run", good, {"runs": not reasons, "missing": reasons})


def _numbers(version: str) -> list[int]:
    """Return the numbers of a version: 2.13.0+cpu is [2, 13, 0]."""
    return [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
