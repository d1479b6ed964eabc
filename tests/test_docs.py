"""The documents tell the truth: their code runs, and the semantics page knows every name and option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradskew.aggregators import MIXINGS, RULES
from gradskew.attacks import ATTACKS
from gradskew.names import options
from gradskew.presets import PRESETS
from gradskew.settings import read_config

ROOT = Path(__file__).parent.parent


def blocks(path: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / path).read_text(), re.DOTALL | re.MULTILINE)


def test_readme_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for code in blocks("README.md", "python"):
        exec(code, {})
    assert capsys.readouterr().out


def test_flower_page_python_runs(tmp_path, monkeypatch):
    pytest.importorskip("flwr.serverapp.strategy", reason="needs flwr: pip install 'gradskew[flower]'")
    monkeypatch.chdir(tmp_path)
    for code in blocks("docs/flower.md", "python"):
        exec(code, {})
    assert (tmp_path / "with-rfa").is_dir()


def test_readme_config_is_read(tmp_path):
    (config := tmp_path / "sweep.toml").write_text(blocks("README.md", "toml")[0])
    assert read_config(config, ["dataset", "attacks", "aggregators", "beta", "seeds"])["seeds"] == "3"


@pytest.mark.parametrize("registry", [RULES, MIXINGS, ATTACKS], ids=lambda registry: registry.kind)
def test_semantics_page_has_every_name_and_option(registry):
    page = (ROOT / "docs/semantics.md").read_text()
    for name, cls in registry.classes.items():
        assert f"`{name}`" in page, name
        for field in options(cls):
            assert f"`{field.name}`" in page, f"{name}({field.name})"


def test_semantics_page_has_every_preset_entry():
    page = (ROOT / "docs/semantics.md").read_text()
    for preset, entries in PRESETS.items():
        line = next(line for line in page.splitlines() if line.startswith(f"| `{preset}`"))
        for key in entries:
            assert key == "run" or f"`{key}`" in line, (preset, key)
