"""`gradskew doctor`: what is broken or missing is one line, and never ends the examination."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numba
import pytest
from command import COMMAND

from gradskew.cli import main
from gradskew.core import sum_kernels
from gradskew.core.importing import pip_install

doctor = sys.modules["gradskew.cli.doctor"]
Fact, package, folder = doctor.Fact, doctor.package, doctor.folder
PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
NOWHERE = "/proc/nowhere"  # nobody can write there, root included


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Install a package before all others, as importlib.metadata reads it; it is never imported twice."""

    def make(name, code, version="9.9"):
        (tmp_path / f"{name}.py").write_text(code)
        about = tmp_path / f"{name}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        monkeypatch.delitem(sys.modules, name, raising=False)

    return make


def commands(missing=(), can_write=True):
    usable = {name: name not in missing for name in doctor.PACKAGES}
    good = {name: ok or name in doctor.EXTRAS.split() for name, ok in usable.items()}
    packages = [Fact("packages", name, "", good[name], {"usable": ok}) for name, ok in usable.items()]
    return {fact.name: fact for fact in doctor.commands(packages, can_write)}


def test_every_dependency_is_examined():
    optional = PYPROJECT["optional-dependencies"]
    extras = ("hub", "ray", "flower", "hf", "flwr-datasets", "tune", "mlflow", "tensorboard", "wandb", "rocrate")
    required = [*PYPROJECT["dependencies"], *(line for extra in extras for line in optional[extra])]
    assert set(doctor.PACKAGES) == {re.match(r"[\w-]+", line)[0] for line in required}


@pytest.mark.parametrize(
    ("missing", "stopped", "good"),
    [
        ("ray", {"--engine ray"}, True),
        ("flwr", {"flower"}, True),
        ("optuna", {"tune"}, True),
        ("huggingface_hub", {"--download"}, True),
        ("numba", {"wide models"}, False),
        ("pyarrow", {"csv, parquet files", "--download", "--dataset hf:", "--partition flwr:"}, False),
        ("datasets", {"--dataset hf:", "--partition flwr:"}, True),
        ("flwr-datasets", {"--partition flwr:"}, True),
        ("torch", set(doctor.COMMANDS), False),
    ],
)
def test_what_a_missing_package_stops(missing, stopped, good):
    facts = commands({missing})
    assert {name for name, fact in facts.items() if not fact.details["runs"]} == stopped
    for name, fact in facts.items():
        assert fact.text == (f"needs {missing}" if name in stopped else "can run")
        assert fact.good == (good or name not in stopped)


def test_results_that_cannot_be_written_stop_everything():
    assert {fact.text for fact in commands(can_write=False).values()} == {
        "--out must name a folder that can be written"
    }


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise ImportError('no libfoo.so')", "broken: ImportError: no libfoo.so"),
        ("raise SystemExit(3)", "broken: SystemExit: 3"),
        ("import time; time.sleep(600)", "broken: TimeoutError: no answer within 1 s"),
        ("import warnings; print('welcome'); warnings.warn('old')", ""),
    ],
)
def test_a_broken_package_is_installed_again(fake, monkeypatch, capsys, code, error):
    monkeypatch.setattr(doctor, "IMPORT_LIMIT", 1)
    fake("fakepackage", code)
    fact = package("fakepackage")
    again = f"{error}: {sys.executable} -m pip install --force-reinstall fakepackage"
    assert fact.text == (again if error else "9.9")
    assert fact.good is fact.details["usable"] is (not error)
    assert capsys.readouterr().out == ""


def test_missing_and_old_packages(fake, monkeypatch):
    wanted = ["fakepackage[all]>=10.2; extra == 'x'", "ray>=2.40"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: wanted)
    monkeypatch.setattr(doctor, "EXTRAS", "missing_one")
    assert package("missing_one").text == f"not installed: {sys.executable} -m pip install missing_one"
    assert package("missing_one").good  # optional
    assert not package("missing_other").good
    fake("fakepackage", "")
    install = f"{sys.executable} -m pip install 'fakepackage[all]>=10.2'"
    assert package("fakepackage").text == f"9.9 is older than 10.2: {install}"


@pytest.mark.parametrize(
    ("system", "python", "wanted"),
    [
        ("posix", "/opt/my python/bin/python", "'/opt/my python/bin/python' -m pip install 'gradskew[hub]>=1'"),
        ("nt", r"C:\my python\python.exe", r'"C:\my python\python.exe" -m pip install "gradskew[hub]>=1"'),
        ("nt", r"C:\python.exe", r'C:\python.exe -m pip install "gradskew[hub]>=1"'),
    ],
)
def test_commands_are_quoted_for_the_shell(monkeypatch, system, python, wanted):
    monkeypatch.setattr("gradskew.core.importing.os", types.SimpleNamespace(name=system))
    monkeypatch.setattr(sys, "executable", python)
    assert pip_install("gradskew[hub]>=1") == wanted


def test_a_flower_that_is_too_new_gets_advice_of_its_own(monkeypatch):
    """The newest would be no help: the line of our own part of Flower has the version to take."""
    line = "flwr 99.0 has another Strategy interface: pip install 'flwr<=1.42'"
    monkeypatch.setattr(doctor, "import_error", lambda module: line if module == "gradskew.flower.interface" else "")
    assert package("flwr").text == line


def test_folders(tmp_path):
    fact = folder("results", tmp_path / "a" / "b")
    assert fact.good
    assert fact.details["free"] > 0
    (file := tmp_path / "file").write_text("")
    for path in (Path(NOWHERE), file, file / "below"):
        fact = folder("results", path)
        assert not fact.good
        assert fact.text.startswith(f"{path}: cannot be written (")
    assert list(tmp_path.iterdir()) == [file]


def test_kernels_that_cannot_be_kept(monkeypatch):
    monkeypatch.setattr(sum_kernels, "_squares", numba.njit(nogil=True)(sum_kernels._squares.py_func))
    (fact,) = doctor.kernels()
    assert fact.good
    assert fact.text.startswith("compiled anew in each process")


def test_a_sound_installation(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json", "--out", str(tmp_path / "out")])
    assert ended.value.code == 0
    topics = json.loads(capsys.readouterr().out)
    assert list(topics) == ["system", "torch", "data", "folders", "packages", "commands"]
    assert topics["packages"]["torch"]["version"] == importlib.metadata.version("torch")
    assert topics["torch"]["kernels"]["found"].startswith("compiled")
    assert topics["commands"]["bench"] == {"found": "can run", "good": True, "runs": True, "missing": []}
    assert topics["folders"]["results"]["path"] == str(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_with_everything_broken(fake):
    """No home, no place for results, a torch that kills its process: still a page, and status 1."""
    fake("torch", "import os; os.abort()")
    environment = {**os.environ, "HOME": NOWHERE, "GRADSKEW_CACHE": NOWHERE}
    command = [*COMMAND, "doctor", "--out", NOWHERE]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (ended.returncode, ended.stderr) == (1, "")
    lines = dict(re.findall(r"^([! ] [\w -]+?)  +(.*)$", ended.stdout, re.MULTILINE))
    assert lines["! torch"].startswith("kills its process: SIGABRT: ")
    assert lines["! results"].startswith(f"{NOWHERE}: cannot be written")
    assert "needs torch" in lines["! bench"]
    assert lines["  click"]


@pytest.mark.processes
def test_a_bench_runs_without_numba_and_pyarrow(fake, tmp_path):
    fake("numba", "raise ImportError")
    (tmp_path / "pyarrow.py").write_text("raise ImportError")
    tiny = "bench --rounds 1 --clients 6 --model linear --attacks none,strike --aggregators median --workers 1 --out"
    subprocess.run([*COMMAND, *tiny.split(), str(tmp_path / "out")], capture_output=True, check=True)
    assert (tmp_path / "out" / "report.html").exists()


def test_bad_options(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--jsn"])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
