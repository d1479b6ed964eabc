"""The files of a folder tell of all its runs, whichever command wrote them last."""

import csv
import json
import re
import sys

import pytest
from command import TINY

import gradskew as gs
from gradskew.core.errors import InputError

pytestmark = pytest.mark.usefixtures("pictures_as_texts")

FILES = ("results.csv", "table.md", "table.tex", "report.html", "heatmap.png", "heatmap.pdf", "citations.bib")


@pytest.fixture
def bench(call, tmp_path):
    def run(*arguments):
        outcome = call("bench", *TINY.split(), "--out", tmp_path / "out", *arguments)
        assert outcome.code == 0, outcome.err
        return outcome

    return run


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def cells(folder):
    with (folder / "results.csv").open() as file:
        return {(row["attack"], row["aggregator"], row["seed"]) for row in csv.DictReader(file)}


def test_a_smaller_bench_leaves_the_files_of_a_larger_one(bench, tmp_path):
    bench("--aggregators", "mean,median", "--seeds", "2")
    before = files(tmp_path / "out")
    assert set(before) == set(FILES)
    small = bench("--attacks", "lie", "--aggregators", "median", "--seeds", "1")
    assert files(tmp_path / "out") == before
    assert len(cells(tmp_path / "out")) == 8
    assert f"Beside these runs, {tmp_path / 'out'} holds 7 runs of this federation." in small.out
    assert "mean" in small.out.split("attack", 1)[1]  # the tables of the screen are those of the files


def test_a_bench_adds_to_the_tables(bench, tmp_path):
    bench("--aggregators", "mean")
    bench("--aggregators", "median", "--seeds", "1,")
    rules = {(rule, seed) for _, rule, seed in cells(tmp_path / "out")}
    assert rules == {("mean", "0"), ("median", "1")}
    assert (tmp_path / "out" / "table.md").read_text().count("| attack | mean | median |") == 1


def test_another_federation_has_tables_of_its_own_beside_the_first(bench, call, tmp_path):
    out = tmp_path / "out"
    bench("--beta", "0.5")
    first = (out / "table.tex").read_text()
    said = bench("--beta", "0.9").out
    assert "beta=0.9" in said
    assert "beta=0.5" not in said
    assert f"Beside these runs, {out} holds 1 other federation." in said
    assert first in (out / "table.tex").read_text()
    assert (out / "report.html").read_text().count('class="federation"') == 2
    written = files(out)
    assert call("report", out).code == 0  # of no federation: the smaller beta is first
    assert {*files(out)} == {*written}
    assert files(out)["heatmap.png"] != written["heatmap.png"]


def test_the_federation_of_the_command_comes_first(bench, tmp_path):
    """10 clients are fewer than 6 only as text; the other federation's heatmaps are named as its table in LaTeX is."""
    out = tmp_path / "out"
    for clients in (10, 6, 10):
        bench("--clients", str(clients))
        page, drawn = (out / "report.html").read_text(), files(out)
        found = re.findall(r'class="setting">digits, .*?; (\d+) clients', page)
        assert found[0] == str(clients)
        labels = re.findall(r"\\label{tab:gradskew-(.*?)}", (out / "table.tex").read_text())
        for kind in ("png", "pdf"):
            names = {f"heatmap.{kind}", *(f"heatmap-{label}.{kind}" for label in labels if len(labels) > 1)}
            assert {name for name in drawn if name.endswith(kind) and not name.startswith("sweep-")} == names
            if len(labels) > 1:
                assert drawn[f"heatmap.{kind}"] == drawn[f"heatmap-{labels[0]}.{kind}"]
    with (out / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["clients"], row["sampled"], row["federation"]) for row in rows} == {
        ("10", "10", labels[0]),
        ("6", "6", labels[1]),
    }


def test_without_an_attack_there_is_no_verdict(bench, tmp_path):
    said = bench("--attacks", "none", "--aggregators", "mean,median").out
    assert "No attack was played: there is no verdict." in said
    assert "No attack was played: there is no verdict." in (tmp_path / "out" / "report.html").read_text()
    for word in ("Recommended", "leads", "Best in"):
        assert word not in said


def test_the_screen_says_what_the_page_says(bench, tmp_path):
    said = bench("--aggregators", "mean,median", "--seeds", "2").out
    lines = (tmp_path / "out" / "table.md").read_text().splitlines()
    (scope,) = [line for line in lines if line.startswith("Tested on")]
    assert scope.startswith("Tested on 360 inputs. Attacks played: lie. Known and not played: bitflip,")
    assert scope in said
    assert scope in (tmp_path / "out" / "report.html").read_text()


def test_runs_of_an_earlier_version_of_a_rule_are_left_out_with_a_line(bench, call, tmp_path, monkeypatch, capsys):
    """One cell never mixes two versions of a user's file."""
    file = tmp_path / "edited_rules.py"
    monkeypatch.syspath_prepend(tmp_path)
    file.write_text("def rule(updates, f):\n    return updates.mean(0)\n")
    bench("--aggregators", "mean,edited_rules:rule")
    monkeypatch.delitem(sys.modules, "edited_rules")
    for timing in tmp_path.glob("out/runs/*/timing.json"):  # two benches may end in the same second
        timing.write_text(json.dumps({**json.loads(timing.read_text()), "finished": "2020-01-01T00:00:00Z"}))
    file.write_text("def rule(updates, f):\n    return updates.median(0).values\n")
    edited = bench("--aggregators", "edited_rules:rule")
    old = "2 runs of an earlier version of edited_rules:rule"
    line = f"gradskew: {old} left out of the tables: the file, or what it builds, was changed since"
    assert line in edited.err.splitlines()
    assert len(cells(tmp_path / "out")) == 4
    store = gs.Store(tmp_path / "out")
    with pytest.raises(
        InputError, match=r"two versions of edited_rules:rule .* Store\(folder\).newest\(\) has the last"
    ):
        gs.Table(store.all())
    capsys.readouterr()
    assert gs.Table(store.newest()).cells["lie", "edited_rules:rule"].seeds == {0}
    assert line in capsys.readouterr().err.splitlines()
    with (tmp_path / "out" / "results.csv").open() as file:
        assert sum(row["aggregator"] == "edited_rules:rule" for row in csv.DictReader(file)) == 2
    written = files(tmp_path / "out")
    again = call("report", tmp_path / "out")
    assert line in again.err.splitlines()
    assert files(tmp_path / "out") == written


NETWORKS = """
from pathlib import Path
from torch import nn


def small(shape, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, num_classes))


def listed(shape, num_classes):
    width = int(Path(__file__).with_name("width.txt").read_text())
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Tanh(), nn.Linear(width, num_classes))
"""


def test_the_networks_of_a_user_keep_all_seeds_and_their_names(bench, tmp_path, monkeypatch):
    """Each seed draws other weights: they are no other version of the network."""
    (tmp_path / "own_networks.py").write_text(NETWORKS)
    (tmp_path / "width.txt").write_text("3")
    monkeypatch.syspath_prepend(tmp_path)
    said = bench("--model", "own_networks:small,own_networks:listed", "--seeds", "2")
    assert "earlier version" not in said.err
    assert "2 federations, by model (own_networks:listed, own_networks:small)." in said.out
    with (tmp_path / "out" / "results.csv").open() as file:
        rows = [(row["model"], row["attack"], row["seed"]) for row in csv.DictReader(file)]
    names = ("own_networks:listed", "own_networks:small")
    assert sorted(rows) == sorted((n, attack, seed) for n in names for attack in ("lie", "none") for seed in "01")


def test_an_edited_network_leaves_no_seed_of_its_earlier_version(bench, tmp_path, monkeypatch):
    (tmp_path / "edited_networks.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(tmp_path)
    model = ("--model", "edited_networks:listed")
    (tmp_path / "width.txt").write_text("3")
    bench(*model, "--seeds", "2")
    for timing in tmp_path.glob("out/runs/*/timing.json"):  # two benches may end in the same second
        timing.write_text(json.dumps({**json.loads(timing.read_text()), "finished": "2020-01-01T00:00:00Z"}))
    (tmp_path / "width.txt").write_text("5")
    edited = bench(*model, "--seeds", "1")
    assert "gradskew: 4 runs of an earlier version of edited_networks:listed left out of the tables" in edited.err
    assert cells(tmp_path / "out") == {(attack, "mean", "0") for attack in ("none", "lie")}
    with pytest.raises(InputError, match="two versions of edited_networks:listed "):
        gs.Table(gs.Store(tmp_path / "out").all())
