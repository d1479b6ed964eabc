"""Several federations side by side: in which options they differ, and their accuracies by the values of these."""

import csv
import io
import math
import re
from statistics import mean, stdev
from typing import Any

import pytest
from made_records import SPEC, one_round

from gradskew.report.export import latex, markdown
from gradskew.report.page import render
from gradskew.report.page.sweep import SweepSection
from gradskew.report.settings import Settings
from gradskew.report.sweep import WORST, Sweep, sweep_of
from gradskew.report.sweep_figures import sweep_figures
from gradskew.report.table import group
from gradskew.runs.record import Record

DIRICHLET = {"name": "dirichlet", "min_samples": 2}
T_1 = 12.706204736432095  # of Student's t with one degree of freedom, 97.5 %


def record(attack: str, rule: str, accuracy: float, *, seed: int = 0, **changes: Any) -> Record:
    sgd = {**SPEC["sgd"], **{key: changes.pop(key) for key in ("lr", "momentum") if key in changes}}
    spec = {**SPEC, "attack_name": attack, "aggregator_name": rule, "seed": seed, "sgd": sgd, **changes}
    spec |= {"attack": {"name": attack}, "aggregator": {"name": rule}}
    return Record(spec, [one_round(accuracy)], f"{attack} {rule} {seed} {changes}")


def by_beta(values: list[Any], **changes: Any) -> list[Record]:
    """Records of two rules under two attacks: the accuracy falls with the place of the value."""
    made = []
    for place, value in enumerate(values):
        part = {"name": "iid"} if value == "iid" else {**DIRICHLET, "beta": value}
        for rule, own in (("mean", 0), ("median", 10)):
            for seed in (0, 1):
                for attack, lost in (("none", 0), ("lie", 20)):
                    accuracy = 90 - 2 * place - own - lost - seed
                    made.append(record(attack, rule, accuracy, seed=seed, partition=part, **changes))
    return made


def axes(*specs: dict[str, Any]) -> list[tuple[str, list[Any], list[str]]]:
    found = Settings([{**SPEC, **spec} for spec in specs]).axes
    return [(axis.name, list(axis.values), list(axis.follows)) for axis in found]


def dealt(**options: Any) -> dict[str, Any]:
    return {"partition": {**DIRICHLET, **options}}


@pytest.mark.parametrize(
    ("specs", "found"),
    [
        ([dealt(beta=0.5), {"partition": {"name": "iid"}}, dealt(beta=0.1)], [("beta", [0.1, 0.5, "iid"], [])]),
        ([dealt(beta=0.5), dealt(beta=10.0), dealt(beta=2.0)], [("beta", [0.5, 2.0, 10.0], [])]),
        (
            [{"partition": {"name": "shards", "k": 2}}, {"partition": {"name": "shards", "k": 1}}],
            [("k of shards", [1, 2], [])],
        ),
        (
            [{"partition": {"name": "shards", "k": 2}}, dealt(beta=0.5)],
            [("partition", ["dirichlet(min_samples=2,beta=0.5)", "shards(k=2)"], [])],
        ),
        # The share 0.2 of 10 and 20 clients, all of them in a round: one option was swept.
        (
            [{"clients": n, "sampled": n, "byzantine": n // 5} for n in (10, 20)],
            [("clients", [10, 20], ["byzantine"])],
        ),
        (
            [{"clients": 10, "sampled": 5}, {"clients": 10, "sampled": 10}],
            [("sampled", [5, 10], [])],
        ),
        (
            [
                {"dataset": "digits", "data_sha256": "a" * 64},
                {"dataset": "mnist", "data_sha256": "b" * 64, "rounds": 9},
            ],
            [("dataset", ["digits", "mnist"], ["rounds", "data_sha256"])],
        ),
        ([{}, {"worker_momentum": 0.9}], [("worker_momentum", [0.0, 0.9], [])]),
        ([{}, {"server": {"name": "fedavgm", "beta": 0.9}}], [("server", ["fedavg", "fedavgm(beta=0.9)"], [])]),
        (
            [{"byzantine": b, "rounds": r} for b in (1, 2) for r in (3, 4)],
            [("byzantine", [1, 2], []), ("rounds", [3, 4], [])],
        ),
        ([{"semantics": 9}, {"semantics": 10}], [("semantics", ["9", "10"], [])]),
    ],
)
def test_the_options_that_differ(specs: list[dict[str, Any]], found: list[Any]) -> None:
    assert axes(*specs) == found


def test_words_have_no_curve_and_numbers_have() -> None:
    numbers = {axis.name: axis.is_numeric for axis in Settings([{**SPEC, **dealt(beta=b)} for b in (1.0, 2.0)]).axes}
    assert numbers == {"beta": True}
    words = Settings([{**SPEC, "model": {"name": "linear"}}, {**SPEC, "model": {"name": "cnn"}}]).axes
    assert [axis.is_numeric for axis in words] == [False]


def test_a_curve_goes_over_the_values_in_order_at_fixed_others() -> None:
    both = [*by_beta(["iid", 0.5, 0.1]), *by_beta([0.5, 0.1], byzantine=3)]
    swept = Sweep(group(both))
    assert swept.values == [(0.1, 2), (0.1, 3), (0.5, 2), (0.5, 3), ("iid", 2)]
    drawn = {(curve.axis.name, curve.where): curve for curve in swept.curves}
    assert set(drawn) == {
        *(("beta", f"byzantine = {b}") for b in (2, 3)),
        *(("byzantine", f"beta = {b}") for b in (0.1, 0.5)),
    }
    lines = dict(swept.lines("lie", drawn["beta", "byzantine = 2"].tables))
    # means over the seeds 0 and 1: iid was the first place, 0.1 the third
    assert [cell and cell.mean for cell in lines["median"]] == [55.5, 57.5, 59.5]
    lines = dict(swept.lines(WORST, drawn["beta", "byzantine = 3"].tables))
    assert [cell and cell.mean for cell in lines["mean"]] == [67.5, 69.5, None]


def test_a_table_is_named_by_its_values() -> None:
    swept = Sweep(group([*by_beta(["iid", 0.5]), *by_beta([0.5], byzantine=3)]))
    assert [swept.label(table) for table in swept] == [
        "beta 0.5, byzantine 2",
        "beta 0.5, byzantine 3",
        "beta iid, byzantine 2",
    ]


def test_the_table_by_value_and_its_file() -> None:
    swept = Sweep(group(by_beta([0.1, "iid"])))
    half = T_1 * stdev([90, 89]) / math.sqrt(2)
    head, rows = swept.sheet("none")
    assert head == ["beta", "mean", "median"]
    assert rows == [
        ["0.1", f"89.5 ±{half:.1f}", f"79.5 ±{half:.1f}"],
        ["iid", f"87.5 ±{half:.1f}", f"77.5 ±{half:.1f}"],
    ]
    lines = list(csv.DictReader(io.StringIO(swept.to_sweep_csv())))
    assert len(lines) == 2 * 2 * 3
    (line,) = [line for line in lines if (line["beta"], line["attack"], line["rule"]) == ("iid", WORST, "median")]
    assert float(line["mean"]) == mean([58, 57])
    assert float(line["half_width"]) == pytest.approx(half, abs=1e-4)
    assert line["seeds"] == "2"


def test_one_federation_and_federations_without_a_common_rule_are_no_sweep() -> None:
    assert sweep_of(group(by_beta([0.1]))) is None
    apart = [record("none", "mean", 50), record("none", "median", 50, clients=20, sampled=20)]
    assert sweep_of(group(apart)) is None


def shown(records: list[Record]) -> str:
    swept = sweep_of(group(records))
    return render([], title="", lead="", sweep=None if swept is None else SweepSection(swept))


def test_the_page_has_a_chart_for_each_attack_and_the_worst_found() -> None:
    text = shown(by_beta([0.1, 0.5, "iid"]))
    found = re.findall(r'aria-label="(Test accuracy by beta[^"]*)" data-csv="([^"]*)"', text)
    assert [label for label, _ in found] == [
        f"Test accuracy by beta, {under}" for under in ("the worst found", "without an attack", "under lie")
    ]
    lines = list(csv.reader(io.StringIO(found[1][1].replace("&#34;", '"'))))
    assert lines[0] == ["beta", "rule", "mean", "low", "high"]
    assert lines[1][:3] == ["0.1", "mean", "89.5"]
    assert float(lines[1][4]) == pytest.approx(min(100, 89.5 + T_1 * stdev([90, 89]) / math.sqrt(2)), rel=1e-5)
    assert 'id="sweep"' not in shown(by_beta([0.1]))


@pytest.mark.parametrize(("loss", "tested"), [("squared", "R²"), ("next_token", "accuracy of next tokens")])
def test_what_a_loss_is_tested_by_is_named_everywhere(loss: str, tested: str) -> None:
    records = by_beta([0.1, 0.3], loss=loss)
    swept = Sweep(group(records))
    text = shown(records)
    names = f"est {tested} by", f"est {tested} in %"
    assert not re.search("ccuracy (by|in)", re.sub("|".join(map(re.escape, names)), "", text))
    assert f"Test {tested} by beta" in text
    assert f"test {tested}, %" in text
    assert f"Test {tested} in %" in markdown(swept[0])
    assert f"loss {loss} (tested by {tested})" in swept[0].federation
    assert f"Test {tested} in \\%" in latex(swept[0])
    assert f"worst found, {tested} in %" in swept._repr_html_()
    both = Sweep(group([*records, *by_beta([0.1], loss="cross_entropy")]))
    assert both.measure == "accuracy"


def test_options_that_are_words_have_a_table_alone() -> None:
    models = [{"name": "linear"}, {"name": "cnn"}]
    text = shown([record("none", "mean", 50 + i, model=model) for i, model in enumerate(models)])
    assert "Test accuracy by" not in text
    assert re.search(r'<th scope="row" data-head="model">cnn</th><td data-head="mean">51.0', text)


def test_the_figures_are_pdf_and_png_and_the_same_each_time() -> None:
    swept = Sweep(group([*by_beta([0.1, "iid"]), *by_beta([0.1], byzantine=3)]))
    drawn = sweep_figures(swept)
    assert sorted(drawn) == [
        f"sweep-{name}.{kind}" for name in ("beta-byzantine-2", "byzantine-beta-0.1") for kind in ("pdf", "png")
    ]
    assert all(content.startswith(b"%PDF" if name.endswith("pdf") else b"\x89PNG") for name, content in drawn.items())
    assert drawn == sweep_figures(swept)


def test_names_with_markup_are_escaped_on_the_page_and_in_figures() -> None:
    odd = [record("none", "my:<b>$x_", 50 + i, lr=0.1 * (i + 1)) for i in range(2)]
    assert "<b>$x" not in shown(odd)
    assert sweep_figures(Sweep(group(odd)))
