"""What a notebook shows and takes: short texts, tables in HTML, data frames, `gs.bench`, and the example."""

import csv
import inspect
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from made_records import record

import gradskew as gs
from gradskew.core.html import html_table
from gradskew.report import benching, terminal
from gradskew.report.export import latex, results_csv
from gradskew.report.table import Table
from gradskew.report.verdict import statements
from gradskew.runs.sweeps import Progress

HOSTILE = "<img src=x onerror=alert(1)>"
TINY = {"clients": 6, "byzantine": 1, "rounds": 2, "epochs": 1, "model": "linear", "progress": False}


@pytest.fixture
def table():
    cells = {("none", "median"): (80, 84), ("lie", "median"): (60, 50), ("none", "mean"): (90, 92)}
    cells |= {("lie", "mean"): (30, 40), ("none", "rbtm"): (85, 85), ("lie", "rbtm"): (70, 74)}
    return Table(record(*key, value, seed=seed) for key, values in cells.items() for seed, value in enumerate(values))


def test_texts_are_short(table):
    assert repr(table).startswith("Table(digits: 2 attacks, 3 rules, 12 runs; highest: rbtm, 72.0")
    assert repr(table.records[0]) == "Record(none against median, seed 0: 80.0 % after 2 rounds)"
    assert repr(gs.Run()) == "Run()"
    run = gs.Run(attack="strike", aggregator="krum", rounds=3)
    assert repr(run) == "Run(rounds=3, attack='strike', aggregator='multikrum(m=1)')"
    assert eval(repr(run), {"Run": gs.Run}) == run
    for shown in (table, table.records[0], run):
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 120
    assert repr(gs.Table([record("none", "mean", 50)])).startswith("Table(digits: 1 attack, 1 rule, 1 run")


def test_a_result_is_one_line():
    run = gs.Run(model="linear", clients=6, byzantine=1, rounds=2)
    result = gs.simulate(run)
    ended = f"{result.rounds[-1]['accuracy']:.1f} % in the last test"
    assert repr(result) == f"Result(none against mean, 2 rounds: {ended})"


def test_a_table_in_html_has_each_cell_and_the_verdict(table):
    shown = table._repr_html_()
    for cell in table.cells.values():
        assert f">{cell.text}<" in shown
    assert shown.count("<b>") == len(table.worst_attacks)
    assert f"<b>{table.cells['lie', 'rbtm'].text}</b>" in shown
    assert "lie is the worst attack on 2 of 2 rules" in shown
    assert table.federation in shown


def test_names_in_html_are_only_text():
    records = [record(HOSTILE, "median", 50), record("none", HOSTILE, 60)]
    shown = [Table(records)._repr_html_(), records[0]._repr_html_(), html_table(HOSTILE, [[HOSTILE, HOSTILE]])]
    assert not any("<img" in text for text in shown)
    assert all("&lt;img" in text for text in shown)


def test_a_run_and_a_record_in_html_say_what_they_are(table):
    run = gs.Run(attack="strike", rounds=3)._repr_html_()
    assert all(text in run for text in ("digits", "strike", "mlp(hidden=32)", "<td>3</td>", "<td>10</td>"))
    assert "80.00 %" in table.records[0]._repr_html_()


def test_the_exports_are_those_of_the_report(table):
    assert table.verdict == "\n".join(statements(table))
    assert table.to_csv() == results_csv(table.records)
    assert table.to_latex() == latex(table)


def test_without_pandas_one_line_says_how_to_get_it(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(gs.InputError, match=r"^to_pandas needs pandas: pip install 'gradskew\[pandas\]'$"):
        table.to_pandas()


def test_a_data_frame_has_one_row_per_run(table):
    pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert list(frame.columns) == next(csv.reader(io.StringIO(table.to_csv())))
    assert list(frame["attack"][:2]) == ["none", "none"]  # a name, and no missing value
    assert frame["accuracy"].tolist() == [record.accuracy for record in table.records]
    assert frame["params_sha256"].tolist() == [record.params_sha256 for record in table.records]


def test_bench_from_python_is_the_command(call, tmp_path):
    options = "--clients 6 --byzantine 1 --rounds 2 --epochs 1 --model linear --workers 1 --seeds 2"
    assert call("bench", *options.split(), "--attacks", "none,lie", "--rules", "mean,krum", "--out", tmp_path).code == 0
    written = (tmp_path / "results.csv").read_text()
    again = gs.bench(attacks="none,lie", rules="mean,krum", seeds=2, out=tmp_path, **TINY)
    assert again.to_csv() == written
    assert isinstance(again, gs.Table)
    lists = gs.bench(
        attack=["none", gs.attacks.make("alie")],
        aggregators=("fedavg", "Krum"),
        seeds=[0, 1],
        out=tmp_path,
        dataset=gs.Digits(),
        partition=gs.Dirichlet(beta=0.5, min_samples=2),
        **{**TINY, "model": gs.Linear},
    )
    assert lists.to_csv() == written
    assert len(list(tmp_path.glob("runs/*/record.json"))) == 8


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"atacks": "lie"}, "unknown option of bench 'atacks'; did you mean 'attacks'"),
        ({"rules": "mean", "aggregators": "median"}, "rules is given twice: aggregators is the same setting"),
        ({"rules": ["medan"]}, "unknown rule 'medan'; did you mean 'median'"),
        ({"rules": []}, "rules is an empty list"),
        ({"rules": ["median", "cwmed"]}, "an entry is given twice in rules"),
        ({"attacks": 3}, "attack must be a name, a function or an Attack, not 3"),
        ({"seeds": [1, 1]}, "an entry is given twice in seeds"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"seeds": [0.5]}, "seeds is a count"),
        ({"dataset": 3}, "a dataset is a name, a Source, arrays .* not of type int"),
        ({"pictures": (0.5,), "attacks": "none", "rules": "mean"}, "a round in pictures must be a whole number"),
    ],
    ids=str,
)
def test_what_bench_cannot_take_is_one_line(given, says, tmp_path):
    with pytest.raises(gs.InputError, match=says) as caught:
        gs.bench(out=tmp_path, **{"rounds": 1, **given})
    assert "\n" not in str(caught.value)


def test_help_shows_the_options_of_bench():
    shown = inspect.signature(gs.bench).parameters
    assert set(benching.OPTIONS) < set(shown)
    assert shown["clients"].default == 50
    assert {"out", "workers", "progress"} < set(shown)


def test_progress_in_a_notebook_is_one_line_that_is_overwritten(capsys, monkeypatch):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr(terminal.ProgressLine, "OFTEN", 0.0)
    with terminal.ProgressLine() as line:
        for rounds in (0, 3, 6):
            line(Progress(rounds // 3, 2, rounds, 6))
    texts = capsys.readouterr().err.split("\r")
    assert len(texts) == 4
    assert texts[2].startswith(f"[{'█' * 15}{'·' * 15}] 1/2 runs, ")
    assert texts[3].startswith(f"[{'█' * 30}] 2/2 runs, ")
    assert texts[3].endswith("\n")
    assert not any("\n" in text for text in texts[:3])


NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


def test_the_example_runs_cell_by_cell_and_keeps_no_outputs(tmp_path, monkeypatch):
    """In the order of the page, at a small scale, in a `__main__` that has no file, as a notebook's has none."""
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    monkeypatch.chdir(tmp_path)
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    for number, cell in enumerate(cells):
        if "needs-pandas" in cell["metadata"].get("tags", []):
            continue
        exec(compile("".join(cell["source"]), f"<cell {number}>", "exec"), vars(main))
        vars(main)["federation"] |= {"clients": 8, "rounds": 1, "seeds": 1}
    assert len(main.table.records) == 12
    assert len(main.kappas) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notebook-results"]
    assert len(list(tmp_path.glob("notebook-results/runs/*/record.json"))) == 12
