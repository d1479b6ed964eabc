"""What a training ends with: over which rounds a metric is averaged, and when no cost is given."""

from __future__ import annotations

import pytest

pytest.importorskip("flwr.serverapp.strategy", reason="needs flwr: pip install 'gradskew[flower]'")

from gradskew.flower.findings import Findings
from gradskew.flower.page import FlowerSection, report
from gradskew.flower.training import Training

SETTINGS = {"strategy": "FedAvg", "attack": "lie", "byzantine": 1, "seed": 0, "base": "FedAvg", "rounds": 6}
SETTINGS |= {"nodes": [1, 2, 3, 4, 5], "chosen": [2]}


def training(attack, values, name="accuracy"):
    """A training in which nothing but one metric was measured, None where it was not."""
    empty = {"rejected": {}, "rows": 5, "byzantine_rows": 1, "byzantine_share": None, "lens": None, "rules": {}}
    metrics = [{} if value is None else {"server": {name: value}} for value in values]
    attacked = {"called": attack != "none"}
    rounds = [{**empty, "round": i, "metrics": each, "attack": attacked} for i, each in enumerate(metrics)]
    return Training(attack, rounds=rounds)


def findings(alone, attacked, name="accuracy"):
    trainings = [training("none", alone, name), training("lie", attacked, name)]
    return FlowerSection({**SETTINGS, "rounds": len(alone)}, trainings)


@pytest.mark.parametrize(("rounds", "wanted"), [(60, 58.0), (21, 19.0), (20, 18.5), (6, 5.5), (5, 5.0), (1, 1.0)])
def test_a_metric_at_the_end_is_the_mean_of_a_fifth_of_the_rounds_five_at_most(rounds, wanted):
    """Its value in round i is i: 56 to 60 of 60, 17 to 21 of 21, 17 to 20 of 20, 5 and 6 of 6, the last of 5."""
    assert training("none", list(range(1, rounds + 1))).final("server", "accuracy") == wanted


def test_a_metric_that_is_measured_now_and_then_is_that_of_the_last_rounds_all_the_same():
    """Of 20 rounds every tenth: only the last is among the last four. Of 6 the last two have none: that of round 4."""
    tenth = [float(i) if i % 10 == 0 else None for i in range(1, 21)]
    assert training("none", tenth).final("server", "accuracy") == 20.0
    assert training("none", [1.0, None, 3.0, 4.0, None, None]).final("server", "accuracy") == 4.0
    assert training("none", [None]).final("server", "accuracy") is None


RISES = [40.0, 55.0, 66.0, 73.0, 79.0, 83.1]
FLAT = [71.0, 71.5, 70.8, 71.2, 71.1, 71.1]


@pytest.mark.parametrize("scale", [1, 0.01])
@pytest.mark.parametrize(("alone", "attacked"), [(RISES, FLAT), (FLAT, RISES), (RISES, RISES)])
def test_no_cost_is_given_for_an_accuracy_that_still_rises(alone, attacked, scale):
    alone, attacked = ([scale * value for value in values] for values in (alone, attacked))
    section = findings(alone, attacked)
    before, after = (f"{sum(values[-2:]) / 2:.3g}" for values in (alone, attacked))
    assert section.verdict[0] == (
        f"accuracy, measured by the server, still rises at the end: {before} without attack, {after} under lie "
        "(one training each). No cost is given: train for more rounds."
    )
    arrows = [" ↑" if max(values) == scale * 83.1 else "" for values in (alone, attacked)]
    assert section.costs.rows == [["accuracy", "the server", before + arrows[0], after + arrows[1], "–"]]
    assert "It still rises at the end." in report(section.settings, section.trainings)


@pytest.mark.parametrize("attacked", [FLAT, RISES[::-1], [10.0, 11.0, 9.5, 10.2, 10.4, 9.9]])
def test_the_cost_is_that_of_curves_that_have_settled_or_fall(attacked):
    section = findings(FLAT, attacked)
    after = f"{sum(attacked[-2:]) / 2:.3g}"
    said = f"accuracy, measured by the server: 71.1 without attack, {after} under lie (one training each)."
    assert section.verdict[0] == said
    assert section.costs.rows[0][-1] != "–"
    assert "↑" not in str(section.costs.rows)


@pytest.mark.parametrize("name", ["eval_loss", "RMSE", "test-error"])
def test_a_loss_gets_better_by_falling(name):
    falls, rises = [2.0, 1.5, 1.1, 0.8, 0.6, 0.5], [0.5, 0.6, 0.8, 1.1, 1.5, 2.0]
    assert f"{name}, measured by the server, still falls at the end" in findings(falls, rises, name).verdict[0]
    assert findings(falls, rises, name).costs.rows[0][2:] == ["0.55 ↓", "1.75", "–"]
    assert findings(rises, rises, name).verdict[0].startswith(f"{name}, measured by the server: 1.75 without attack")


def test_one_round_gives_no_difference():
    section = findings([0.5], [0.4])
    assert (
        section.verdict[0] == "accuracy, measured by the server: 0.5 without attack, 0.4 under lie (one training each)."
    )
    assert section.costs.rows == [["accuracy", "the server", "0.5", "0.4", "–"]]


@pytest.mark.parametrize("values", [[0.0] * 6, [float("nan")] * 6, [1.0, float("inf")] * 3])
def test_a_curve_without_a_scale_does_not_rise(values):
    section = findings(values, values)
    assert isinstance(section, Findings)
    assert "still" not in section.verdict[0]


@pytest.mark.processes
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_long_names_do_not_make_the_page_wider_than_its_window(browser, width, tmp_path):
    long = "a_name_that_is_longer_than_a_phone_is_wide_and_has_no_space_in_it_anywhere"
    section = findings(FLAT, RISES, long)
    section.trainings[1].ended = "RuntimeError: " + "x" * 180
    path = tmp_path / "report.html"
    path.write_text(report({**section.settings, "strategy": long, "base": long}, section.trainings))
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
