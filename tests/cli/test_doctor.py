"""`gradskew doctor`: what is broken or absent is said in one line, and never ends the examination."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gradskew.cli import diagnosis, main
from gradskew.cli.diagnosis import Fact, commands, folder, package

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
NOWHERE = "/proc/nowhere"  # a place in which nobody can write, root included


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Put a package in front of all others, installed to the eye of importlib.metadata."""

    def make(name, code, version="9.9"):
        (tmp_path / f"{name}.py").write_text(code)
        about = tmp_path / f"{name}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    return make


@pytest.fixture
def sound():
    """Facts of an installation in which every package is usable, without importing one."""
    names = [*diagnosis.PACKAGES, *diagnosis.EXTRAS]
    usable = {"version": "1.0", "usable": True}
    facts = [Fact("packages", name, "1.0", details=usable) for name in names]
    return [*facts, Fact("folders", "results", "out: 1.0 GB free", details={"path": "out"})]


def can(facts):
    return {fact.name: fact.found for fact in commands(facts)}


def lacking(facts, *missing):
    details = {"version": None, "usable": False}
    return [Fact("packages", f.name, "not installed", False, details) if f.name in missing else f for f in facts]


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0]


def test_every_dependency_is_looked_at():
    assert set(diagnosis.PACKAGES) == {name_of(requirement) for requirement in PYPROJECT["dependencies"]}
    for name, (_, extra) in diagnosis.EXTRAS.items():
        brought = PYPROJECT["optional-dependencies"].get(extra)
        assert brought is None or name in map(name_of, brought)


def test_a_sound_installation_can_do_everything(sound):
    assert set(can(sound).values()) == {"can run"}


@pytest.mark.parametrize(
    ("missing", "stopped", "advice"),
    [
        ("ray", {"--engine ray"}, "needs ray: pip install 'gradskew[ray]'"),
        ("flwr", {"flower"}, "needs flwr: pip install 'gradskew[flower]'"),
        ("huggingface_hub", {"--download"}, "needs huggingface_hub: pip install 'gradskew[hub]'"),
        ("numba", {"wide models"}, "needs numba: pip install 'numba>=0.60'"),
        ("pyarrow", {"parquet files", "--download"}, "needs pyarrow: pip install 'pyarrow>=14'"),
        ("torch", set(diagnosis.COMMANDS), "needs torch: pip install 'torch>=2.6'"),
    ],
)
def test_what_an_absent_package_stops(sound, missing, stopped, advice, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: PYPROJECT["dependencies"])
    found = can(lacking(sound, missing))
    assert {name for name, said in found.items() if said != "can run"} == stopped
    assert {found[name] for name in stopped} == {advice}


def test_only_what_is_optional_may_be_absent(sound):
    facts = commands(lacking(sound, "ray", "scipy"))
    assert {fact.name: fact.good for fact in facts}["bench"] is False
    assert all(fact.good for fact in commands(lacking(sound, "ray", "flwr", "huggingface_hub")))


def test_a_broken_package_is_installed_again(sound):
    broken = Fact("packages", "rich", "broken: no", False, {"version": "13.0", "usable": False})
    found = can([broken if fact.name == "rich" else fact for fact in sound])
    assert found["bench"].startswith("needs rich: pip install --force-reinstall 'rich")


def test_results_that_cannot_be_written(sound):
    facts = [fact for fact in sound if fact.topic != "folders"]
    assert can([*facts, folder("results", Path(NOWHERE))])["bench"] == "--out must name a folder that can be written"


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("raise ImportError('no libfoo.so')", "broken: ImportError: no libfoo.so"),
        ("raise SystemExit(3)", "broken: exit status 3"),
        ("raise SystemExit('first\\nlast')", "broken: last"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "kills its process: SIGILL"),
        ("print('a word of welcome')", "9.9"),
    ],
)
def test_a_package_is_tried_in_a_process_of_its_own(fake, code, wanted):
    fake("fakepackage", code)
    fact = package("fakepackage", "fakepackage")
    assert fact.found == wanted
    assert fact.good is fact.details["usable"] is (wanted == "9.9")


def test_a_package_that_hangs_is_broken(fake, monkeypatch):
    monkeypatch.setattr(diagnosis.run, "__defaults__", (2.0,))
    fake("fakepackage", "import time; time.sleep(600)")
    assert package("fakepackage", "fakepackage").found == "does not end within 2 s"


def test_an_old_version_is_said_to_be_old(fake, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["fakepackage[all]>=10.2; extra == 'x'"])
    fake("fakepackage", "")
    assert package("fakepackage", "fakepackage").found == "9.9 is older than 10.2"


def test_a_flower_that_is_too_new_cannot_run_and_the_advice_is_not_to_take_the_newest(fake, sound):
    """Its strategies have another interface: importing flwr alone would not tell."""
    fake(
        "flwr",
        "import sys, types\n"
        "app, strategy = types.ModuleType('flwr.serverapp'), types.ModuleType('flwr.serverapp.strategy')\n"
        "strategy.Strategy = type('Strategy', (), {})\n"
        "sys.modules.update({'flwr.serverapp': app, 'flwr.serverapp.strategy': strategy})\n",
        "99.0",
    )
    module, _ = diagnosis.EXTRAS["flwr"]
    fact = package("flwr", module)
    assert "flwr 99.0 has another Strategy interface" in fact.found
    found = can([fact if each.name == "flwr" else each for each in sound])
    assert re.fullmatch(r"needs flwr: pip install 'flwr<=1\.\d+'", found["flower"])
    assert found["bench"] == "can run"


def test_absent_packages():
    assert package("no-such-package", "no_such_package") == Fact(
        "packages", "no-such-package", "not installed", False, {"version": None, "usable": False}
    )
    assert package("ray", "no_such_package").good  # optional


def test_a_folder_is_left_as_it_was(tmp_path):
    fact = folder("results", tmp_path / "a" / "b")
    assert fact.good
    assert fact.details["free"] > 0
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_written(tmp_path):
    (file := tmp_path / "file").write_text("")
    for path in (Path(NOWHERE), file, file / "below"):
        fact = folder("results", path)
        assert not fact.good
        assert fact.found.startswith(f"{path}: cannot be written (")


def call(*arguments, **environment):
    """A real `gradskew doctor`."""
    code = "from gradskew.cli import main; main()"
    environment = {**os.environ, **environment}
    command = [sys.executable, "-c", code, "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_the_real_one(tmp_path):
    ended = call("--json", "--out", str(tmp_path / "out"))
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert list(told) == ["system", "torch", "data", "folders", "packages", "commands"]
    assert told["packages"]["torch"]["version"] == importlib.metadata.version("torch")
    assert told["torch"]["kernels"]["found"].startswith("compiled")
    assert told["commands"]["bench"] == {"found": "can run", "good": True, "runs": True, "missing": []}
    assert told["folders"]["results"]["path"] == str(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_with_everything_broken(fake):
    """No home, no place for results, a torch that kills its process: still a page, and status 1."""
    fake("torch", "import os; os.abort()")
    ended = call("--out", NOWHERE, HOME=NOWHERE, GRADSKEW_CACHE=NOWHERE)
    assert ended.returncode == 1
    assert ended.stderr == ""
    lines = dict(re.findall(r"^([! ] [\w -]+?)  +(.*)$", ended.stdout, re.MULTILINE))
    assert lines["! torch"] == "kills its process: SIGABRT"
    assert lines["! results"].startswith(f"{NOWHERE}: cannot be written")
    assert "needs torch" in lines["! bench"]
    assert lines["  click"]


def test_what_the_probe_says_before_it_dies_counts(fake):
    """Torch is sound and numba kills the process: what was said of torch stands, and the blame is not torch's."""
    fake("numba", "import os; os.abort()")
    facts, wrong = diagnosis._probe()
    assert wrong == ""
    assert [(fact.topic, fact.good) for fact in facts] == [("torch", True), ("torch", True), ("torch", False)]
    assert facts[-1].found == "kills its process: SIGABRT"


REFUSES_TO_CACHE = """
import numba
plain = numba.njit

def njit(*given, **options):
    if options.get("nogil") and options.get("cache"):  # one of ours
        raise RuntimeError("cannot cache function: no locator available")
    return plain(*given, **options)

numba.njit = njit
"""


def test_kernels_that_can_be_kept_nowhere_are_compiled_anew():
    lines, wrong = diagnosis.run([f"exec({REFUSES_TO_CACHE!r})", "from gradskew.cli.probe import main", "main()"], 120)
    assert wrong == ""
    found = {fact["name"]: fact for fact in map(json.loads, lines)}
    assert found["kernels"]["good"]
    assert found["kernels"]["found"].startswith("compiled anew in each process")


def test_bad_options(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["doctor", "--jsn"])
    assert caught.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_is_said_to_run_without_them_runs(fake, tmp_path):
    """A bench on the digits needs neither numba nor pyarrow, however broken they are."""
    fake("numba", "raise ImportError")
    (tmp_path / "pyarrow.py").write_text("raise ImportError")
    tiny = "--rounds 1 --clients 6 --model linear --attacks none,strike --aggregators median --workers 1"
    arguments = ["bench", *tiny.split(), "--out", str(tmp_path / "out")]
    _, wrong = diagnosis.run([f"from gradskew.cli import main; main({arguments!r})"], 300)
    assert wrong == ""
    assert (tmp_path / "out" / "report.html").exists()
