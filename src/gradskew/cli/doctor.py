"""`gradskew doctor`: report the installed packages, the machine, and what each command still needs."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import json
import os
import platform
import re
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
from ..core.importing import one_line, pip_install, time_limit
from .options import OUT

IMPORT_LIMIT = 60.0  # seconds
# The packages of every command, and the further ones of some commands.
ALWAYS = "torch numpy msgspec safetensors pillow scipy threadpoolctl matplotlib jinja2 click rich"
ALWAYS += " lazy_loader"
COMMANDS = {
    **dict.fromkeys(("bench", "paper", "skew", "report", "audit"), ""),
    "wide models": "numba",
    "csv, parquet files": "pyarrow",
    "tune": "optuna",
    "flower": "flwr",
    "--engine ray": "ray",
    "--download": "pyarrow huggingface_hub",
    "--dataset hf:": "pyarrow datasets",
    "--partition flwr:": "pyarrow datasets flwr-datasets",
    "export --to rocrate": "rocrate",
    "--log mlflow": "mlflow",
    "--log tensorboard": "tensorboard",
    "--log wandb": "wandb",
}
EXTRAS = "flwr ray huggingface_hub datasets flwr-datasets optuna mlflow tensorboard wandb rocrate"  # optional
PACKAGES = f"{ALWAYS} numba pyarrow {EXTRAS}".split()
# The modules whose names are not the packages'. Our Flower interface checks the version of flwr.
MODULES = {"pillow": "PIL.Image", "flwr": "gradskew.flower.interface"}
MODULES |= {"flwr-datasets": "flwr_datasets.partitioner", "rocrate": "rocrate.rocrate"}
SMALLER = {"mlflow": "mlflow-skinny"}  # packages that bring the same module


@dataclass(frozen=True)
class Fact:
    """One line of the output. good: nothing needs repair. details: more values, for `--json`."""

    topic: str
    name: str
    text: str
    good: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="Folder for the results.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(out: Path, as_json: bool) -> None:
    """Show the installed packages, the machine, and what each command still needs.

    Changes and downloads nothing. Exit status 0 if `gradskew bench` can run, else 1.
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
    """Return all facts, sorted by topic. out: the folder for the results. Imports every package in a few seconds."""
    if error := torch_error():
        sys.modules["torch"] = None  # type: ignore[assignment]  # an import raises now, and does not kill this process
    packages = [package(name, error if name == "torch" else "") for name in PACKAGES]
    results = folder("results", out)
    facts = [*system(), *collect("torch", devices), *collect("torch", kernels), *collect("data", data)]
    return [*facts, results, *packages, *commands(packages, results.good)]


def torch_error() -> str:
    """Import torch in a separate process, which a wrong build may kill; return the error, "" if none."""
    command = [sys.executable, "-P", "-c", "import torch"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return f"its import does not end within {IMPORT_LIMIT:.0f} s"
    if process.returncode < 0:
        return f"kills its process: {signal.Signals(-process.returncode).name}"
    lines = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
    return f"broken: {lines[-1][:200]}" if process.returncode else ""


def collect(topic: str, examiner: Callable[[], Iterator[Fact]]) -> list[Fact]:
    """Return the facts that a function yields; if it raises, the error as a fact."""
    try:
        return list(examiner())
    except Exception as error:  # a broken library may raise anything
        return [Fact(topic, examiner.__name__, f"broken: {one_line(error)}", False)]


def system() -> Iterator[Fact]:
    """Yield Python, the package, the platform, cores and memory."""
    memory = machine.memory()
    size = f"{_gb(memory.total)}, {_gb(memory.free)} of it free" if memory else "unknown on this system"
    yield Fact("system", "python", f"{platform.python_version()}, {sys.executable}")
    with suppress(importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version("gradskew")
        yield Fact("system", "gradskew", f"{version}, {Path(__file__).parents[1]}", details={"version": version})
    yield Fact("system", "platform", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield Fact("system", "cores", str(machine.cores()), details={"cores": machine.cores()})
    yield Fact("system", "memory", size, details=memory._asdict() if memory else {})


def devices() -> Iterator[Fact]:
    """Yield torch's threads and usable GPUs, or why it can use none."""
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
    """Compile or load a kernel, check its result, and yield the folder of compiled code."""
    import torch

    from ..core import sum_kernels

    (square,) = sum_kernels.squared_distances_to(torch.tensor([[3.0, 4.0]]), torch.zeros(2)).tolist()
    compiled: Any = sum_kernels._squares
    cache = compiled.stats.cache_path
    text = f"compiled, kept in {cache}" if cache else "compiled anew in each process: set NUMBA_CACHE_DIR to a folder"
    text = text if square == 25 else f"wrong: the squared length of (3, 4) is not {square}"
    yield Fact("torch", "kernels", text, square == 25, {"kept": cache})


def data() -> Iterator[Fact]:
    """Yield the folder of each data set, the decoded ones, and whether the cache can be written."""
    from ..data import FashionMNIST, cache

    yield Fact("data", "digits", "embedded")
    default = FashionMNIST.default_folder
    exists = default.is_dir() and FashionMNIST().find(default) is not None
    yield Fact("data", FashionMNIST.key, str(default) if exists else f"not in {default}: --data names its folder")
    names = set()
    for path in cache.root().glob(f"*/{cache.ABOUT}"):
        with suppress(OSError, ValueError, LookupError, TypeError):  # a damaged entry
            names.add(str(json.loads(path.read_text())["about"]["name"]))
    yield Fact("data", "decoded", ", ".join(sorted(names)) or "none yet", details={"names": sorted(names)})
    yield folder("cache", cache.root())


def folder(name: str, path: Path) -> Fact:
    """Return as a fact whether a folder can be made or written to, and the free bytes of its disk."""
    existing = next(each for each in (path, *path.absolute().parents) if os.path.exists(each))
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        text = f"{path}: cannot be written ({error.strerror or error})"
        return Fact("folders", name, text, False, {"path": str(path)})
    return Fact("folders", name, f"{path}: {_gb(free)} free", details={"path": str(path), "free": free})


def package(name: str, error: str = "") -> Fact:
    """Import a package; return its version, or its error and how to install it. error: a known one."""
    required, options, version = requirement(name), [], None
    oldest = re.search(r">=\s*([\d.]+)", required)
    for each in filter(None, (SMALLER.get(name), name)):
        with suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(each)
    if version is None:
        error = "not installed"
    else:
        if not error and oldest and _numbers(version) < _numbers(oldest[1]):
            error = f"{version} is older than {oldest[1]}"
        elif error := error or import_error(MODULES.get(name, name)):
            options = ["--force-reinstall"]
    if error and "pip install" not in error:
        error += f": {pip_install(required, *options)}"
    good = not error or (version is None and name in EXTRAS.split())
    return Fact("packages", name, error or str(version), good, {"version": version, "usable": not error})


def requirement(name: str) -> str:
    """Return the requirement of a package in our metadata, such as `numba>=0.60`; its name if it has none."""
    with suppress(importlib.metadata.PackageNotFoundError):
        for line in importlib.metadata.requires("gradskew") or ():
            if re.split(r"[^\w-]", line)[0] == name:
                return line.partition(";")[0].strip()
    return name


def import_error(module: str) -> str:
    """Import a module without output; return the error, "" if none."""
    discarded = io.StringIO()
    try:
        with (
            time_limit(IMPORT_LIMIT),
            redirect_stdout(discarded),
            redirect_stderr(discarded),
            warnings.catch_warnings(action="ignore"),
        ):
            importlib.import_module(module)
    except InputError as error:  # our own line
        return str(error)
    except (Exception, SystemExit) as error:
        return f"broken: {one_line(error)}"
    return ""


def commands(packages: Sequence[Fact], can_write: bool) -> Iterator[Fact]:
    """Yield for each command whether it can run, or what it needs. A missing optional package is no error."""
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
