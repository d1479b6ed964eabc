"""A folder of results as an RO-Crate: what it lists, read by the library again, and what it refuses."""

import json
import sys

import pytest
from rocrate.rocrate import ROCrate

from gradskew import __version__

SMALL = "--clients 6 --byzantine 1 --rounds 1 --model linear --workers 1 --rules median --attacks none --seeds 1"


def test_a_bench_is_described_by_its_files_data_and_software(call, tmp_path):
    folder = tmp_path / "a bench"
    assert call("bench", *SMALL.split(), "--out", folder).code == 0
    assert call("export", folder, "--to", "csv").code == 0
    assert call("export", folder, "--to", "rocrate").out == f"{folder / 'ro-crate-metadata.json'}.\n"
    crate = ROCrate(folder)
    listed = {entity.id for entity in crate.root_dataset["hasPart"]}
    files = {path.name for path in folder.iterdir() if path.is_file()} - {"ro-crate-metadata.json"}
    assert listed == {*files, "runs/"}
    action = crate.root_dataset["mentions"]
    assert (action.type, action["instrument"]["softwareVersion"]) == ("CreateAction", __version__)
    (record,) = folder.glob("runs/*/record.json")
    spec = json.loads(record.read_text())["spec"]
    data = action["object"] if isinstance(action["object"], list) else [action["object"]]
    assert [(entity["name"], entity["sha256"]) for entity in data] == [("digits", spec["data_sha256"])]
    assert "digits, linear; 6 clients, 1 Byzantine" in crate.description
    assert {entity.id for entity in action["result"]} == listed
    papers = {entity.id: entity["name"] for entity in crate.root_dataset["citation"]}
    strike = "Exploit Gradient Skewness to Circumvent Byzantine Defenses for Federated Learning"
    assert papers["https://arxiv.org/abs/2502.04890"] == strike
    assert "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates" in papers.values()  # the median's


def test_bad_input_is_one_line(call, tmp_path, monkeypatch):
    folder = tmp_path / "bench"
    assert call("bench", *SMALL.split(), "--out", folder).code == 0
    one = "--to rocrate describes one FOLDER, and writes into it"
    assert one in call("export", folder, folder, "--to", "rocrate").error()
    assert one in call("export", folder, "--to", "rocrate", "--out", tmp_path / "x").error()
    assert "no folder" in call("export", tmp_path / "none", "--to", "rocrate").error()
    monkeypatch.setitem(sys.modules, "rocrate.model", None)
    assert "--to rocrate needs the package rocrate: " in call("export", folder, "--to", "rocrate").error()
    assert not (folder / "ro-crate-metadata.json").exists()


@pytest.mark.parametrize("name", ["report.html", "results.csv"])
def test_a_file_that_is_gone_is_not_listed(call, tmp_path, name):
    assert call("bench", *SMALL.split(), "--out", tmp_path).code == 0
    (tmp_path / name).unlink()
    assert call("export", tmp_path, "--to", "rocrate").code == 0
    assert name not in (tmp_path / "ro-crate-metadata.json").read_text().replace("runs/", "")
