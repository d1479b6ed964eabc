"""What is released: one version, and a wheel and a source distribution that hold what they must and nothing else."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import gradskew

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCE = ROOT / "src" / "gradskew"
FILES = {str(path.relative_to(ROOT / "src")) for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc"}
FILES = {name for name in FILES if "__pycache__" not in name}
META = {
    f"gradskew-{PROJECT['version']}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")
}
META |= {f"gradskew-{PROJECT['version']}.dist-info/{name}" for name in ("top_level.txt", "licenses/LICENSE")}


def test_the_version_is_written_in_one_place():
    """pyproject.toml has it; what is installed says the same; no source file repeats it."""
    assert importlib.metadata.version("gradskew") == PROJECT["version"]
    assert gradskew.__version__ == PROJECT["version"]
    for path in SOURCE.rglob("*.py"):
        assert "__version__ =" not in path.read_text()


def test_the_citation_has_the_version_and_the_date_of_the_changelog():
    heading, date = re.search(r"^## (\S+) \((.*)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).groups()
    citation = (ROOT / "CITATION.cff").read_text()
    released = re.findall(r"^date-released: (\S+)$", citation, re.MULTILINE)
    assert re.findall(r"^version: (\S+)$", citation, re.MULTILINE) == [PROJECT["version"]] == [heading]
    assert released == ([] if date == "unreleased" else [date])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with both distributions, built of a copy without network."""
    pytest.importorskip("setuptools", "77")
    copy = tmp_path_factory.mktemp("source") / "gradskew"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("needs a git checkout")
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("dist")
    code = f"from setuptools import build_meta as b; b.build_sdist({str(out)!r}); b.build_wheel({str(out)!r})"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=copy, check=True, capture_output=True)
    return out


@pytest.mark.release
@pytest.mark.xdist_group("release")
def test_the_wheel_holds_the_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == FILES | META
    for name in (
        "py.typed",
        "paper/published.csv",
        "skew/references.csv",
        "data/digits.csv.gz",
        "report/page/templates/page.html",
    ):
        assert f"gradskew/{name}" in FILES


@pytest.mark.release
@pytest.mark.xdist_group("release")
def test_the_source_distribution_builds_and_brings_no_results(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {f"src/{name}" for name in FILES} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "SECURITY.md"} <= names
    assert {name.partition("/")[0] for name in names} & {
        "results",
        "docs",
        "tests",
        "benchmarks",
        "crosschecks",
    } == set()
