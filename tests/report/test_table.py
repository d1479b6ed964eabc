"""Tables, Markdown, CSV, heatmap and terminal output from records made by hand."""

import csv
import io
import itertools
import re
import warnings
from dataclasses import replace

import pytest
import torch
from made_records import SPEC, one_round, record
from rich.console import Console

from gradskew import attacks
from gradskew.aggregators import MIXINGS, PAPER, RULES
from gradskew.aggregators import make as make_rule
from gradskew.attacks import ATTACKS
from gradskew.core.errors import InputError
from gradskew.core.names import describe
from gradskew.report import figures, terminal
from gradskew.report.cell import Cell
from gradskew.report.export import latex, markdown, results_csv
from gradskew.report.figures import column_heatmap, heatmap, shade
from gradskew.report.table import Table, federations
from gradskew.report.terminal import ProgressLine, show
from gradskew.report.titles import title
from gradskew.report.verdict import advice, remarks, scope, statements, verdict
from gradskew.runs.record import Record

RECORDS = [
    record("none", "mean", 90.0, byzantine_share=0.2),
    record("none", "median", 86.0),
    record("lie", "mean", 50.0, byzantine_share=0.2),
    record("lie", "median", 70.0),
    record("strike", "mean", 60.0, byzantine_share=0.25),
    record("strike", "median", 40.0),
]


def rows_of(text):
    """The cells of a Markdown table, row by row, without the rule below the head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [cells[0], *cells[2:]]


def federation_of(**changes):
    """What the table says was simulated."""
    return Table([replace(each, spec={**each.spec, **changes}) for each in RECORDS]).federation


def test_mean_and_std_over_seeds_by_hand():
    cell = Cell([record("lie", "mean", accuracy, seed=seed) for seed, accuracy in enumerate([10.0, 20.0, 60.0])])
    assert cell.mean == 30.0
    assert cell.std == pytest.approx(700**0.5)  # deviations -20, -10, 30: 1400, divided by n - 1
    assert cell.text == "30.0 ±26.5"
    assert Cell(cell.records[:1]).text == "10.0"
    assert Cell(cell.records[:1]).std == 0


def test_a_metric_averages_what_there_is():
    first = record("lie", "mean", [1.0, 1.0], byzantine_share=0.1)
    first.rounds[1]["byzantine_share"] = None
    second = record("lie", "mean", 1.0, seed=1, byzantine_share=0.3)
    assert Cell([first, second]).average("byzantine_share") == pytest.approx(0.2)
    assert Cell([first, record("lie", "mean", 1.0)]).average("byzantine_share") == pytest.approx(0.1)
    assert Cell([record("lie", "median", 1.0)]).average("byzantine_share") is None


def test_the_table_by_hand():
    table = Table(RECORDS)
    assert (table.attacks, table.rules) == (["none", "lie", "strike"], ["mean", "median"])
    assert table.worst_attacks == {"mean": "lie", "median": "strike"}
    assert table.defences == ["median"]
    assert table.expected_share == 20.0


def harms(panel):
    return {key: pytest.approx(harm) for key, (_, harm) in panel.entries.items()}


def test_the_colours_of_accuracy_by_hand():
    """The best cell has 90 and the worst 40, so 50 points are the whole scale; without `none, mean`, 46 below 86."""
    panel, *_ = Table(RECORDS).panels()
    assert panel.rules == ["mean", "median"]
    assert {key: text for key, (text, _) in panel.entries.items()} == {
        ("none", "mean"): "90.0",
        ("none", "median"): "86.0",
        ("lie", "mean"): "50.0",
        ("lie", "median"): "70.0",
        ("strike", "mean"): "60.0",
        ("strike", "median"): "40.0",
    }
    wanted = {"none": (0, 0.08), "lie": (0.8, 0.4), "strike": (0.6, 1)}  # mean, median
    assert harms(panel) == {
        (attack, rule): harm for attack in wanted for rule, harm in zip(panel.rules, wanted[attack], strict=True)
    }
    later = harms(Table(RECORDS[1:]).panels()[0])
    assert (later["none", "median"], later["lie", "mean"], later["strike", "median"]) == (0, 36 / 46, 1)


def test_small_differences_are_not_painted_red():
    """Ten points of accuracy span the colours at least: two points are a fifth."""
    (panel,) = Table([record("none", "rfa", 80.0), record("lie", "rfa", 78.0)]).panels()
    assert harms(panel) == {("none", "rfa"): 0, ("lie", "rfa"): 0.2}


def test_how_far_an_attack_pushes_by_hand():
    """Distances 2 and 3: one and a half times the rule's own; a share of 30 % where 20 % are Byzantine."""
    records = [
        record("none", "rfa", 80.0, distance=2.0, byzantine_share=0.2),
        record("lie", "rfa", 70.0, distance=3.0, byzantine_share=0.3),
        record("strike", "rfa", 60.0, distance=8.0, byzantine_share=0.0),
        record("lie", "median", 70.0, distance=3.0),  # no `none` to compare with
        record("none", "aksel", 10.0, distance=0.0),  # nothing to divide by
    ]
    _, share, pushed = Table(records).panels()
    assert (share.rules, pushed.rules) == (["rfa"], ["rfa"])
    assert "20 % of the clients" in share.title
    assert [text for text, _ in share.entries.values()] == ["20", "30", "0"]
    assert harms(share) == {("none", "rfa"): 0.5, ("lie", "rfa"): 0.75, ("strike", "rfa"): 0}
    assert {key: text for key, (text, _) in pushed.entries.items()} == {
        ("none", "rfa"): "1.0",
        ("lie", "rfa"): "1.5",
        ("strike", "rfa"): "4.0",
    }
    harm = [harm for _, harm in pushed.entries.values()]
    assert harm == sorted(harm)


def test_the_federation_in_one_line():
    assert federation_of() == (
        "digits, linear; 10 clients, 2 Byzantine; dirichlet(beta=0.5,min_samples=2); "
        "2 rounds of 2 epochs, batch 16, lr 0.2; 1 seed"
    )
    said = federation_of(sampled=5, knowledge=0.25, model={"name": "mlp", "hidden": 32}, partition={"name": "iid"})
    assert "mlp(hidden=32); 10 clients, 5 a round, 2 Byzantine, attacker knows 25 % of the honest; iid; " in said


def test_what_is_not_usual_in_a_federation_is_said():
    said = federation_of(
        sgd={**SPEC["sgd"], "momentum": 0.0, "clip": None, "local_steps": 1},
        told="3",
        known="own",
        attack_rounds="20:40",
        root_examples=100,
        worker_momentum=0.9,
        local={"name": "fedprox", "mu": 1.0},
        rows="gradient",
        precision="bf16",
        validation=0.2,
    )
    assert said == (
        "digits, linear; 10 clients, 2 Byzantine, attacker knows its own rows alone, attack in rounds 20:40, "
        "rule told f = 3; dirichlet(beta=0.5,min_samples=2); 2 rounds of 1 step, batch 16, lr 0.2, momentum 0, "
        "clip none, rows gradient, fedprox(mu=1.0), worker momentum 0.9, 100 inputs at the server, bf16, "
        "tested on 20 % of the training inputs; 1 seed"
    )
    assert "rule told the expected f" in federation_of(told="expected")
    assert "knows 25 % of the honest of each round" in federation_of(knowledge=0.25, redraw_knowledge=True)


def test_a_record_counts_once():
    table = Table([*RECORDS, *RECORDS[::-1]])
    assert table.records == RECORDS
    assert table.cells["lie", "mean"].text == "50.0"


def test_what_does_not_make_a_table():
    with pytest.raises(InputError, match="at least one record"):
        Table([])
    other = record("lie", "rfa", 1.0)
    for key, value in (("sampled", 5), ("knowledge", 0.5), ("partition", {"name": "iid"})):
        with pytest.raises(InputError, match=f"a table needs records of one federation: {key} differ"):
            Table([*RECORDS, replace(other, spec={**other.spec, key: value})])


def test_the_order_is_that_of_the_records():
    table = Table(RECORDS[::-1])
    assert (table.attacks, table.rules) == (["strike", "lie", "none"], ["median", "mean"])


def test_markdown_by_hand():
    head, *rows = rows_of(markdown(Table(RECORDS)))
    assert head == ["attack", "mean", "median"]
    assert rows == [["none", "90.0", "86.0"], ["lie", "**50.0**", "70.0"], ["strike", "60.0", "**40.0**"]]


def test_seeds_share_a_cell():
    records = [*RECORDS, record("lie", "mean", 40.0, seed=1)]
    assert rows_of(markdown(Table(records)))[2][1] == "**45.0 ±7.1**"
    assert "2 seeds" in Table(records).federation


def test_csv_columns_and_values_by_hand():
    accuracies = [95.0, 0.0, 10.0, 20.0, 30.0, 41.0]
    first = record("lie", "median", accuracies, seed=7, byzantine_share=0.25, distance=0.5, rejected=2)
    first.rounds[0].update(clamped=True, stepped=False, byzantine_share=0.75, rejected=0)
    text = results_csv([first, record("none", "mean", 3.0)])
    assert text.startswith("dataset,attack,aggregator,seed,accuracy,best_accuracy,params_sha256,")
    assert "\r" not in text
    lie, none = csv.DictReader(io.StringIO(text))
    assert [lie["dataset"], lie["attack"], lie["aggregator"], lie["seed"]] == ["digits", "lie", "median", "7"]
    assert float(lie["accuracy"]) == 35.5  # (30 + 41) / 2: the last two of six
    assert float(lie["best_accuracy"]) == 95.0
    assert lie["params_sha256"] == "sha of lie median 7"
    assert float(lie["byzantine_share"]) == pytest.approx((0.75 + 5 * 0.25) / 6, rel=1e-5)
    assert float(lie["distance"]) == 0.5
    assert [lie["rejected"], lie["clamped_rounds"], lie["skipped_rounds"]] == ["10", "1", "1"]
    assert lie["digest"] == first.digest
    assert none["byzantine_share"] == none["distance"] == ""
    assert [none["rejected"], none["clamped_rounds"], none["skipped_rounds"]] == ["0", "0", "0"]


def test_the_rows_of_a_csv_tell_federations_apart():
    """What has no column of its own is in the digest, and as text in the last column."""
    settings = [
        {"clients": 20, "sampled": 10},
        {"byzantine": 3},
        {"rounds": 60},
        {"model": {"name": "mlp", "hidden": 8}},
    ]
    settings += [{}, {"knowledge": 0.5}]
    records = [
        replace(made, spec={**made.spec, **change}) for made in [record("lie", "mean", 3.0)] for change in settings
    ]
    rows = list(csv.reader(io.StringIO(results_csv(records))))
    head = [
        "clients",
        "sampled",
        "byzantine",
        "rounds",
        "model",
        "federation",
        "progress_min",
        "failed_tries",
        "largest_class",
        "settings",
    ]
    assert rows[0][-10:] == head
    assert [row[-10:-5] for row in rows[1:]] == [
        ["20", "10", "2", "2", "linear"],
        ["10", "10", "3", "2", "linear"],
        ["10", "10", "2", "60", "linear"],
        ["10", "10", "2", "2", "mlp(hidden=8)"],
        ["10", "10", "2", "2", "linear"],
        ["10", "10", "2", "2", "linear"],
    ]
    usual = "2 epochs, batch 16, lr 0.2"
    assert [row[-1] for row in rows[1:]] == [*[usual] * 5, f"{usual}, attacker knows 50 % of the honest"]
    digests = [row[-5] for row in rows[1:]]
    assert len({*digests}) == 6
    assert rf"\label{{tab:gradskew-{digests[0]}}}" in latex(Table(records[:1]))


def test_federations_are_sorted_by_their_numbers():
    records = [replace(made, spec={**made.spec, "clients": clients}) for made in RECORDS for clients in (10, 6, 100)]
    assert [table.records[0].spec["clients"] for table in federations(records)] == [6, 10, 100]


@pytest.mark.parametrize(("rounds", "accuracy"), [(1, 1.0), (5, 5.0), (6, 5.5), (11, 10.0), (60, 58.0)])
def test_accuracy_is_the_mean_of_the_last_fifth_of_the_rounds_five_at_most(rounds, accuracy):
    made = record("lie", "mean", [float(each) for each in range(1, rounds + 1)])
    assert float(next(csv.DictReader(io.StringIO(results_csv([made]))))["accuracy"]) == accuracy


def test_the_verdict_judges_by_hand():
    """median falls from 86 to 40; what rfa has without attack is not known. The mean is not judged."""
    records = [*RECORDS, *(record(attack, "rfa", value) for attack, value in (("lie", 80.0), ("strike", 65.0)))]
    first, second, third, last = verdict(Table(records))
    assert first == "strike is the worst attack on 2 of 2 rules: median (-46.0), rfa (65.0 %)."
    assert second == "Lowest: median, 40.0 %, worst found in 2 federations (strike)."
    assert (
        third == "Highest here on average over the attacks: rfa, 72.5 %. Lowest: median, 55.0 %."
    )  # (80 + 65) / 2, (70 + 40) / 2
    assert last.startswith("One seed: ")


def test_the_average_over_attacks_has_a_spread_over_seeds():
    """rfa ends at 80 and 60, mean 70, with the one seed, at 90 and 80, mean 85, with the other: 77.5 ± 15 / sqrt(2)."""
    values = {0: {"lie": 80.0, "strike": 60.0}, 1: {"lie": 90.0, "strike": 80.0}}
    records = [record(attack, "rfa", value, seed=s) for s, row in values.items() for attack, value in row.items()]
    (standing,) = Table(records).ranked
    assert (standing.attack, standing.worst.mean) == ("strike", 70.0)
    assert standing.average_text == "77.5 ±10.6"


def test_advice_names_the_highest_worst_found_and_who_cannot_be_told_from_it(monkeypatch):
    """strike stands for the attacks that search, without which no rule is recommended."""
    monkeypatch.setattr(attacks, "ADAPTIVE", ("strike",))

    def rules(**worst):
        return [
            record("strike", rule, value, seed=s) for rule, values in worst.items() for s, value in enumerate(values)
        ]

    def said(**worst):
        return advice(Table(rules(**worst)))

    assert said(rfa=[80.0, 82.0], dnc=[60.0, 61.0]) == (
        "Recommended for a federation like this: rfa, 81.0 ±1.4 %, worst found in 2 federations (strike)."
    )
    assert said(rfa=[80.0, 84.0], dnc=[79.0, 82.0]) == (
        "rfa leads with 82.0 ±2.8 %, worst found in 2 federations (strike); level with it: dnc; more seeds may tell "
        "them apart."
    )
    many = {"rfa": [80.0, 84.0, 81.0], "dnc": [79.0, 84.5, 80.0], "aksel": [10.0, 14.2, 10.9]}
    assert said(**many).startswith("Recommended for a federation like this: rfa, 81.7 ±2.1 %, worst found in 3 ")
    assert said(**many).endswith("; level with it: dnc.")
    assert said(rfa=[80.0], dnc=[80.0]) == said(rfa=[80.0]) == ""
    monkeypatch.undo()
    assert said(**many).endswith(
        "level with it: dnc; it is not recommended, since not all attacks that search were played."
    )


def test_one_seed_gives_a_leader_and_never_a_recommendation():
    records = [record("strike", rule, accuracy) for rule, accuracy in (("rfa", 90.0), ("dnc", 20.0))]
    said = statements(Table(records))
    leads = "rfa leads with 90.0 %, worst found in 1 federation (strike)"
    assert said[0] == f"{leads}; one seed cannot tell it from the others."
    assert not any(word in " ".join(said) for word in ("Recommended", "Take", "take"))


def test_the_verdict_calls_no_attack_the_worst_that_is_not_below_none():
    """lie leaves rfa at 80, as `none` does, and dnc above it; only median loses."""
    records = [record("none", rule, 80.0) for rule in ("rfa", "dnc", "median")]
    records += [record("lie", "rfa", 80.0), record("lie", "dnc", 81.0), record("lie", "median", 75.0)]
    for ordered in (records, records[::-1]):  # whichever of two equal cells comes first
        assert Table(ordered).worst_attacks == {"median": "lie"}
    said = verdict(Table(records))
    assert said[0] == "lie is the worst attack on 1 of 3 rules: median (-5.0)."
    text = markdown(Table(records))
    assert re.findall(r"\*\*(.*?)\*\*", text) == ["75.0"]
    assert verdict(Table(records[:2] + records[3:5])) == []
    assert verdict(Table(records[:3])) == []


def test_the_verdict_of_one_rule_names_no_best():
    said = verdict(Table([each for each in RECORDS if each.spec["aggregator_name"] == "median"]))
    assert said[0] == "strike is the worst attack on 1 of 1 rule: median (-46.0)."
    assert not any("Best" in line or "Worst:" in line for line in said)


def test_the_verdict_warns_of_one_seed_only():
    def cautions(seeds):
        records = [record(attack, "rfa", value, seed=s) for s in seeds for attack, value in (("none", 9), ("lie", 1))]
        return sum(line.startswith("One seed") for line in verdict(Table(records)))

    assert (cautions([0]), cautions([3]), cautions([0, 1])) == (1, 1, 0)


def test_the_verdict_names_rivals_within_the_spread():
    """By seed, strike is 15 above lie and 5 below it, ipm 10 and 30 above, `none` 20 and 20 above."""
    values = {"none": (60.0, 80.0), "lie": (40.0, 60.0), "strike": (55.0, 55.0), "ipm": (50.0, 90.0)}
    records = [record(a, "rfa", value, seed=seed) for a in values for seed, value in enumerate(values[a])]
    assert verdict(Table(records)) == [
        "lie is the worst attack on 1 of 1 rule: rfa (-20.0, level with strike and ipm)."
    ]


def test_a_clipping_rule_that_never_clips_is_not_judged():
    """One cell that clipped a row is enough for the rule to be judged."""
    idle = [record(attack, "cclip", value, rule={"clipped": 0}) for attack, value in (("none", 90.0), ("lie", 20.0))]
    table = Table([*RECORDS, *idle])
    assert table.defences == ["median"]
    assert [line for line in remarks(table) if "clipped no row" in line] == [
        "cclip clipped no row in any round: with this tau it is the mean."
    ]
    assert not any("cclip" in line for line in verdict(table))
    clipped = record("strike", "cclip", 30.0, rule={"clipped": 1})
    table = Table([*RECORDS, *idle, clipped])
    assert table.defences == ["median", "cclip"]
    assert remarks(table) == []
    assert "cclip (-70.0)" in " ".join(verdict(table))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lie(z=None)", "perturbs nothing outwards."),
        ("byzmean(z=None)", "perturbs nothing outwards."),
        ("rop", "its perturbation is 0 or turned round."),
        ("labelflip+lie(z=None)", "perturbs nothing outwards."),
        ("labelflip+rop", "its perturbation is 0 or turned round."),
    ],
)
def test_an_attack_whose_strength_is_not_above_0_is_said_to_be(name, said):
    """Of four clients, one Byzantine, z_max is -0.43; of eleven, two Byzantine, it is 0.14."""
    attack = attacks.make(name)
    remarked = []
    for h, f in ((3, 1), (9, 2)):
        notes = attack.explain(torch.rand(h, 2), torch.rand(f, 2)).notes
        made = record(name, "median", 50.0, attack={"called": True, **notes})
        remarked.append(remarks(Table([Record({**made.spec, "attack": describe(attack)}, made.rounds, "sha")])))
    assert remarked == [[f"{name}: z_max = -0.431 is not above 0, so {'it ' if said[0] == 'p' else ''}{said}"], []]


def test_a_rule_that_is_the_mean_is_not_judged():
    """Its sum in another order ends elsewhere: its accuracies differ, and its distances in the last bits."""
    runs = [record(attack, "mean", 80.0, distance=1.0) for attack in ("none", "lie")]
    twin = [record(attack, "own:rule", 81.0, distance=1.00001) for attack in ("none", "lie")]
    table = Table([*runs, *twin])
    assert table.defences == []
    assert "own:rule gave the aggregate of mean, up to rounding: it is no defence here." in remarks(table)
    assert Table(twin).defences == ["own:rule"], "without the mean, nobody knows"


def test_a_rule_that_averaged_all_rows_is_the_mean_also_without_runs_of_the_mean():
    """5 rows, in the second round 4; behind a mixing the rows are others."""

    def averaging(rule, second):
        made = record("lie", rule, [80.0, 80.0])
        for metrics, count, rows in zip(made.rounds, (5, second), (5, 4), strict=True):
            metrics |= {"rule": {"averaged": count}, "rows": rows}
        return made

    table = Table([averaging("multikrum(m=9)", 4)])
    assert "multikrum(m=9) averaged all rows in every round: it is the mean here." in remarks(table)
    assert table.defences == []
    assert Table([averaging("multikrum(m=9)", 3)]).defences == ["multikrum(m=9)"]
    mixed = averaging("nnm+multikrum(m=9)", 4)
    mixed.spec["aggregator"] = {"name": "mixed", "mixing": {"name": "nnm"}, "rule": {"name": "multikrum"}}
    assert Table([mixed]).defences == ["nnm+multikrum(m=9)"]


def test_an_attack_that_was_never_run_says_nothing():
    """It is not played, finds nothing, and ends no rank."""
    runs = [record("none", rule, 90.0) for rule in ("rfa", "dnc")]
    runs += [record("lie", rule, kept, attack={"called": False}) for rule, kept in (("rfa", 10.0), ("dnc", 20.0))]
    table = Table(runs)
    assert table.standings == {}
    assert table.statements == ["No attack was played: there is no verdict."]
    assert "lie was not run in 4 of 4 rounds: no Byzantine row, or no known honest row." in remarks(table)
    both = Table([*runs, record("ipm", "rfa", 50.0), record("ipm", "dnc", 60.0)])
    assert both.standings["rfa"].finders == ["ipm"]
    assert "Attacks played: ipm. Known and not played: bitflip, labelflip, lie," in " ".join(both.statements)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (0, "no row was finite, so it is not judged; try a smaller lr"),
        (4, "no aggregate was finite, so it is not judged"),
    ],
)
def test_a_rule_that_had_no_rows_is_not_blamed(rows, said):
    runs = [record(attack, "rfa", 10.0, stepped=False, rows=rows) for attack in ("none", "lie")]
    assert f"rfa never moved the model: {said}." in remarks(Table(runs))


def of_distances(rule, **distances):
    """Runs of equal accuracy, with these distances by round under each attack; the seed in the name: lie_1."""
    made = []
    for name, values in distances.items():
        attack, _, seed = name.partition("_")
        made.append(record(attack, rule, [80.0] * len(values), seed=int(seed or 0)))
        for metrics, distance in zip(made[-1].rounds, values, strict=True):
            metrics["distance"] = distance
    return made


MEAN = {"none": [1.0, 1.0], "lie": [3.0, 5.0], "lie_1": [2.0, 2.0], "strike": [1e-4, 1e-4]}


@pytest.mark.parametrize(
    ("rule", "is_mean"),
    [
        (MEAN, True),
        (MEAN | {"lie": [3.0001, 5.3]}, True),  # rounding grows over rounds
        (MEAN | {"strike": [2e-4, 1e-4]}, True),  # where the mean is hardly moved, nothing can be told
        ({"none": [1.0, 1.0]}, False),  # nobody attacked it
        (MEAN | {"lie": [2.5, 4.0]}, False),  # the mean only without attack
        (MEAN | {"lie": [3.001, 5.0]}, False),
        (MEAN | {"lie": [3.0, 2.0]}, False),  # from the second round on, it uses what it has seen
        (MEAN | {"lie_1": [3.0, 2.0]}, False),  # as the mean with another seed
        (MEAN | {"none": [0.8, 1.0]}, False),
        ({"none": [1.0, 1.0], "lie_2": [3.0, 5.0]}, False),  # the mean was not attacked with this seed
        (MEAN | {"lie": [None, 5.0]}, False),
    ],
)
def test_what_is_the_mean_and_what_only_looks_like_it(rule, is_mean):
    table = Table([*of_distances("mean", **MEAN), *of_distances("own:rule", **rule)])
    assert table.defences == ([] if is_mean else ["own:rule"])


def test_an_attack_that_was_not_called_does_not_tell_the_mean_from_a_defence():
    runs = [*of_distances("mean", none=[1.0], lie=[1.0]), *of_distances("own:rule", none=[1.0], lie=[1.0])]
    for each in runs:
        each.rounds[0]["attack"] = {"called": False}
    assert Table(runs).defences == ["own:rule"]


def test_a_curve_that_still_rises_is_marked_and_costs_nothing():
    """Six rounds without attack are flat at 90; under lie they climb to 83, by ten a round."""
    climbing = [33.0, 43.0, 53.0, 63.0, 73.0, 83.0]
    records = [record("none", "rfa", [90.0] * 6), record("lie", "rfa", climbing), record("ipm", "rfa", [70.0] * 6)]
    table = Table(records)
    assert [cell.text for cell in table.cells.values()] == ["90.0", "78.0↑", "70.0"]
    standing = table.standings["rfa"]
    assert (standing.damage_by("lie"), standing.damage_by("ipm"), standing.average_damage) == (None, 20.0, None)
    assert "Accuracy still rises at the end (↑) in 1 of 3 cells: no cost is given; run more rounds." in remarks(table)
    assert "↑ still rising at the end" in table.panels()[0].title
    assert [row["still_rises"] for row in csv.DictReader(io.StringIO(results_csv(records)))] == ["0", "1", "0"]
    (said,) = verdict(Table(records[:2]))[:1]
    assert said == "lie is the worst attack on 1 of 1 rule: rfa (78.0↑ %)."


def test_the_scope_says_what_the_verdict_rests_on():
    records = [replace(each, test_size=360) for each in RECORDS]
    said, asked = scope(Table(records))
    assert asked == "None of them searches for the worst of a rule, so that no worst found is a worst case."
    assert said.startswith("Tested on 360 inputs. Attacks played: lie, strike. Known and not played: bitflip, ")
    assert not {"none", "lie", "strike"} & set(said.partition("not played: ")[2].rstrip(".").split(", "))
    assert scope(Table(RECORDS))[0].startswith("Number of test inputs: not in these records.")
    held_out = Table([replace(each, spec={**each.spec, "validation": 0.2}) for each in records])
    assert scope(held_out)[0].startswith("Tested on 360 inputs held out of the training inputs. Attacks played: lie,")
    assert ", tested on 20 % of the training inputs; " in held_out.federation
    assert statements(Table(RECORDS[:2])) == ["No attack was played: there is no verdict."]


def test_rules_that_met_other_attacks_are_not_ranked_against_each_other():
    """rfa met one weak attack only: its 85 % are no worst case beside the median's 40 %."""
    table = Table([*RECORDS, record("lie", "rfa", 85.0)])
    said = statements(table)
    assert said[-1] == "Not every rule met all 2 attacks (rfa 1), so that none is called best."
    assert not any("Best" in line or "leads" in line or "Recommended" in line for line in said)
    met = statements(Table([*table.records, record("strike", "rfa", 80.0)]))
    assert any("rfa leads with 80.0 %, worst found in 2 federations (strike)" in line for line in met)


def test_an_attack_that_was_never_played_is_remarked():
    silent = record("strike", "rfa", [1.0, 1.0, 1.0], attack={"called": False})
    assert remarks(Table([silent])) == [
        "strike was not run in 3 of 3 rounds: no Byzantine row, or no known honest row."
    ]
    silent.rounds[0]["attack"] = silent.rounds[2]["attack"] = {"called": True}
    assert remarks(Table([silent]))[0].startswith("strike was not run in 1 of 3 rounds")
    silent.rounds[1]["attack"] = {"called": True}
    assert remarks(Table([silent])) == []


def test_remarks_say_what_happened_once():
    records = [record("lie", "median", [1.0, 1.0], rejected=3), record("ipm", "median", [1.0, 1.0])]
    records[1].rounds[1]["stepped"] = False
    records += [record("ipm", "rfa", [1.0, 1.0], seed=seed, clamped=True) for seed in (0, 1)]
    said = remarks(Table(records))
    assert len(said) == 3
    assert said[0] == "lie against median, seed 0: 6 rows not finite, rejected."
    assert said[1] == "ipm against median, seed 0: the model stayed as it was in 1 round."
    assert "rfa got its largest possible f" in said[2]
    assert remarks(Table(RECORDS)) == []


TABLES = {
    "full": RECORDS,
    "one cell": [record("lie", "median", 55.5)],
    "one cell unattacked": [record("none", "mean", 55.5)],
    "one cell with a share": [record("strike", "nnm+mean", 55.5, byzantine_share=0.0)],
    "no none": RECORDS[2:],
    "none alone": RECORDS[:2],
    "missing": [RECORDS[0], RECORDS[3], RECORDS[4]],
    "all equal": [record(attack, rule, 10.0) for attack in ("none", "lie") for rule in ("mean", "rfa")],
    "all wrong": [record(attack, rule, 0.0) for attack in ("none", "lie") for rule in ("mean", "rfa")],
    "no Byzantine": [
        Record({**each.spec, "byzantine": 0}, [one_round(50.0, byzantine_share=0.0)], "") for each in RECORDS
    ],
    "seeds": [record("lie", rule, 10.0 * seed, seed=seed) for rule in ("mean", "median") for seed in range(3)],
    "many": [
        record(f"attack{i}(option={i})", f"bucketing(s={j})+multikrum(m={j})", float(i + j), byzantine_share=i / 10)
        for i in range(9)
        for j in range(12)
    ],
    "long names, few attacks": [
        record("strike", rule, 50.0, byzantine_share=0.1)
        for rule in ("mean", "clipping(c=median)+average(a=consensus,b=dnc(b=None))", "package.module:rule" * 5)
    ],
    "attack never called": [record("strike", "mean", 1.0, attack={"called": False})],
}


@pytest.mark.parametrize("records", TABLES.values(), ids=TABLES)
def test_every_table_is_shown_everywhere(records, capsys):
    table = Table(records)
    text = markdown(table)
    assert len(rows_of(text)) == 1 + len(table.attacks)
    assert {len(row) for row in rows_of(text)} == {1 + len(table.rules)}
    for (_, rule), cell in table.cells.items():
        column = rows_of(text)[0].index(rule)
        assert any(row[column].strip("*") == cell.text for row in rows_of(text)[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = heatmap(table)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert heatmap(table) == image
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = column_heatmap(table)
    assert document.startswith(b"%PDF")
    assert column_heatmap(table) == document
    show(table, verdict(table))
    shown = capsys.readouterr().out
    for cell in table.cells.values():
        assert cell.text in shown


def test_a_missing_cell_stays_empty():
    assert rows_of(markdown(Table(TABLES["missing"])))[1:] == [
        ["none", "90.0", ""],
        ["lie", "", "**70.0**"],
        ["strike", "**60.0**", ""],
    ]


def test_the_weights_are_shown_only_for_rules_that_have_them(capsys):
    """Shares of 0.2 and 0.25; the rows of the median have no weights, and no distance was measured."""
    _, weights = Table(RECORDS).panels()
    assert weights.rules == ["mean"]
    assert {key: text for key, (text, _) in weights.entries.items()} == {
        ("none", "mean"): "20",
        ("lie", "mean"): "20",
        ("strike", "mean"): "25",
    }
    assert len(Table(RECORDS[3:4]).panels()) == 1
    show(Table(RECORDS), [])
    shown = capsys.readouterr().out
    panel = shown[shown.index(weights.title) : shown.index("The worst found, rule by rule")]
    assert "mean" in panel
    assert "median" not in panel


HOSTILE = [
    "$x_1$",
    "$\\frac{1}{",
    "[red]x[/red]",
    "[/]",
    "=cmd|' /C calc'!A0",
    'a,b"c',
    "a\\b",
    "*x*",
    "λ" * 60,
    "%s{0}",
]


@pytest.mark.parametrize(
    ("attack", "rules"),
    [
        ("lie", ["mean", "median", "rfa", "krum", "clipping(c=median)+average(a=consensus,b=dnc(b=None))"]),
        ("lie", ["mean", "package.module:rule" * 4]),
        ("adaptive(aim=loss+stop+undo,cap=None,effort=full)", ["bucketing+clipping(c=median)+consensus"] * 2),
        ("strike", ["mean", "multikrum", "median", "rbtm", "rfa", "aksel", "cclip", "dnc"]),
    ],
)
def test_names_in_the_heatmap_lie_over_nothing(attack, rules, monkeypatch):
    """Neither over each other nor over another panel, in pixels; the names of few short rules are level."""
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, *_: drawn.append(figure))
    records = [record(attack, f"{i}{rule}", 50.0, byzantine_share=0.1) for i, rule in enumerate(rules)]
    heatmap(Table(records))
    (figure,) = drawn
    figure.draw_without_rendering()
    for axes, below in itertools.zip_longest(figure.axes, figure.axes[1:]):
        labels = axes.get_xticklabels()
        boxes = [label.get_window_extent() for label in labels]
        if labels[0].get_rotation() == 0:
            assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
        assert axes.get_window_extent().width > 60 * len(rules)
        assert not below or min(box.y0 for box in boxes) > below.title.get_window_extent().y1
    assert (labels[0].get_rotation() == 0) is (max(map(len, rules)) < 10)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(name, capsys):
    records = [record("none", "mean", 90.0), record(name, name, 50.0, byzantine_share=0.5), record(name, "mean", 70.0)]
    table = Table(records)
    row = list(csv.DictReader(io.StringIO(results_csv(records))))[1]
    shown = {"=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0"}.get(name, name)  # else a spreadsheet would compute it
    assert (row["attack"], row["aggregator"], row["accuracy"]) == (shown, shown, "50.0000")
    assert column_heatmap(table).startswith(b"%PDF")
    assert heatmap(table).startswith(b"\x89PNG")  # and no remark on letters that its font lacks
    show(table, verdict(table))
    assert name in capsys.readouterr().out.replace("\n", "")
    assert isinstance(markdown(table), str)


def test_the_table_of_many_rules_is_whole_at_80_columns(capsys, monkeypatch):
    """Twelve rules do not fit beside each other: the table goes on below, with the attacks again."""
    monkeypatch.setattr(terminal, "console", lambda: Console(width=80, highlight=False, markup=False))
    rules = [f"bucketing(s={number})+multikrum" for number in range(12)]
    show(Table(record("lie", rule, 40.0 + number) for number, rule in enumerate(rules)), [])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert {*rules, *(f"{40 + number}.0" for number in range(12))} <= {*shown.split()}


def test_the_heatmap_for_print_is_as_wide_as_a_column_and_has_text_that_can_be_read():
    """In points: a column of 3.4 inches is 245; twelve rules with their options need more."""

    def width(records):
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", column_heatmap(Table(records)))
        return float(box.group(1))

    assert width(RECORDS) == pytest.approx(72 * 3.4, abs=0.1)
    assert width([record("none", rule, 50.0) for rule in PAPER]) == pytest.approx(72 * 3.4, abs=0.1)
    assert width(TABLES["many"]) > 72 * 3.4


def test_colours_grow_with_harm_and_stay_in_range():
    assert shade(-1.0) == shade(0.0) != shade(0.5) != shade(1.0) == shade(7.0)
    assert re.fullmatch(r"#[0-9a-f]{6}", shade(0.3))


def test_the_progress_line_says_what_was_played(capsys):
    line = ProgressLine()
    with line:
        assert "0 runs done" in line.summary(6)
        line(terminal.Progress(0, 4, 0, 40))
        line(terminal.Progress(4, 4, 40, 40))
    assert line.summary(6).startswith("4 runs done")
    assert "2 stored already" in line.summary(6)
    assert line.summary(5, failed=1).startswith("3 runs done")
    assert line.summary(5, failed=1).endswith(", 1 failed, 2 stored already.")
    assert capsys.readouterr().out == ""


def test_the_progress_line_is_readable_for_slow_rounds(capsys, monkeypatch):
    """One round of 500 after 20 s: 0.05 rounds/s, and 2.8 h to go."""
    clock = [0.0]
    monkeypatch.setattr(terminal, "perf_counter", lambda: clock[0])
    line = ProgressLine()
    clock[0] = 20.0
    line(terminal.Progress(0, 5, 1, 500))
    assert capsys.readouterr().err == "0/5 runs, 0.05 rounds/s, 2.8 h left\n"


def test_latex_by_hand():
    lines = latex(Table(RECORDS)).splitlines()
    assert r"attack & mean & median \\" in lines
    assert r"no attack & 90.0 & 86.0 \\" in lines
    assert r"LIE & \textbf{50.0} & 70.0 \\" in lines
    assert r"STRIKE & 60.0 & \textbf{40.0} \\" in lines
    assert lines.count(r"\toprule") == lines.count(r"\midrule") == lines.count(r"\bottomrule") == 1


def test_latex_says_what_its_marks_mean_and_has_a_label_for_each_federation():
    """Two seeds of six rounds each: the mean of the last two; the run under lie still rises by ten points a round."""
    records = [record("none", "nnm+multikrum", [90.0] * 6, seed=seed) for seed in (0, 1)]
    records += [record("lie", "nnm+multikrum", [10.0 * x + seed for x in range(3, 9)], seed=seed) for seed in (0, 1)]
    text = latex(Table(records))
    assert r"attack & NNM + Multi-Krum \\" in text
    assert r"LIE & \textbf{75.5 $\pm$\,0.7$\uparrow$} \\" in text
    (caption,) = [line for line in text.splitlines() if line.startswith(r"\caption")]
    assert r"mean of the last 2 of 6 rounds, $\pm$ sample standard deviation over seeds, $\uparrow$ still" in caption
    assert "bold: the worst attack on the rule, which leaves it the lowest accuracy." in caption
    labels = {re.search(r"\\label{(.*?)}", latex(Table(each))).group(1) for each in (records, records[:1], RECORDS)}
    assert len(labels) == 2  # more runs of a federation leave its label


def test_every_method_has_a_name_for_print():
    written = {key: title(key) for key in (*RULES, *MIXINGS, *ATTACKS)}
    assert all(RULES.find(key).title for key in RULES)
    assert all(MIXINGS.find(key).title for key in MIXINGS)
    assert all(ATTACKS.find(key).title for key in ATTACKS)
    assert (written["strike"], written["multikrum"], written["rbtm"]) == ("STRIKE", "Multi-Krum", "trimmed mean")
    assert title("bucketing(s=3)+rfa(nu=0.1)") == "Bucketing (s=3) + RFA (nu=0.1)"
    assert title("labelflip+bitflip") == "label flip + bit flip"
    for own in ("my_rules:best(f=2)", "own", "a+b", "$x$", "x)", "(", ""):
        assert title(own).replace(" ", "") == own


def test_print_has_the_name_of_an_alias_that_papers_have_as_a_method():
    typed = {"krum": "Krum", "phocas": "Phocas", "signsgd": "signSGD", "nnm+krum": "NNM + Krum", "cwtm": "trimmed mean"}
    assert {name: title(make_rule(name).name) for name in typed} == typed
    assert title("multikrum(m=1,select=one-by-one)") == "Multi-Krum (m=1,select=one-by-one)"
    assert "& Krum &" in latex(Table([record("none", rule, 50.0) for rule in ("mean", make_rule("krum").name, "rfa")]))


def test_latex_prints_any_name():
    hostile = "a_b%c&d$e#f{g}h\\i~j^k\nl"
    text = latex(Table([record(hostile, "mean", 1.0)]))
    wanted = r"a\_b\%c\&d\$e\#f\{g\}h\textbackslash{}i\textasciitilde{}j\textasciicircum{}k l"
    assert rf"{wanted} & \textbf{{1.0}} \\" in text


def test_federations_are_told_apart_and_ordered_as_names_are_listed():
    def full(attack, rule, seed=0, **spec):
        described = {"name": "mixed", "mixing": {"name": "nnm"}, "rule": {"name": rule.removeprefix("nnm+")}}
        made = record(attack, rule, 1.0, seed=seed)
        names = {"attack": {"name": attack}, "aggregator": described if "+" in rule else {"name": rule}}
        return replace(made, spec={**made.spec, **names, **spec})

    shuffled = [
        full("strike", "nnm+mean"),
        full("strike", "median", rounds=9),
        full("none", "own"),
        full("strike", "median", seed=1),
        full("strike", "median"),
        full("none", "mean"),
    ]
    first, second = federations(shuffled)
    assert first.rules == ["mean", "own", "median", "nnm+mean"]
    assert [each.spec["seed"] for each in first.cells["strike", "median"].records] == [0, 1]
    assert first.attacks == ["none", "strike"]
    assert [each.spec["rounds"] for each in second.records] == [9]
    assert federations([]) == []


@pytest.mark.parametrize("start", "=+-@")
def test_no_name_is_a_formula_in_a_spreadsheet(start):
    name = f"{start}1+1"
    (row,) = csv.DictReader(io.StringIO(results_csv([record(name, name, 50.0)])))
    assert row["attack"] == row["aggregator"] == f"'{name}"
    assert row["dataset"] == "digits"


def test_no_name_is_an_argument_in_latex():
    """After a line break, LaTeX takes a star or a bracket for its own."""
    lines = latex(Table([record("[2cm]", "mean", 50.0), record("*", "mean", 40.0)])).splitlines()
    assert [line for line in lines if line.endswith(r"\\")][1:] == [r"{[}2cm{]} & 50.0 \\", r"{*} & \textbf{40.0} \\"]


@pytest.mark.slow
def test_a_picture_shows_the_numbers_of_its_cells():
    """Tables of one cell have one colour: only their numbers differ."""
    tables = [Table([record("none", "rfa", accuracy)]) for accuracy in (50.0, 60.0)]
    assert heatmap(tables[0]) != heatmap(tables[1])
    assert column_heatmap(tables[0]) != column_heatmap(tables[1])


def test_a_table_of_hundreds_of_rules_still_makes_a_picture():
    """Matplotlib draws no picture of 65,536 pixels or more a side; at 150 dots per inch, 500 rules would be that."""
    rules = [record("none", f"rule{number}", 50.0) for number in range(500)]
    png = heatmap(Table(rules))
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert 7_000 < width <= 8_000
    assert height < width


def test_a_note_z_of_a_users_attack_may_be_anything():
    for z in ("high", None, [1], True):
        assert remarks(Table([record("mine", "mean", 50.0, attack={"called": True, "z": z})])) == []


@pytest.mark.parametrize("swapped", [False, True])
def test_a_setting_that_one_record_lacks_is_another_federation(swapped):
    plain = record("none", "mean", 90.0)
    other = replace(record("lie", "mean", 80.0), spec={**record("lie", "mean", 80.0).spec, "root_examples": 20})
    with pytest.raises(InputError, match="root_examples differ"):
        Table([other, plain] if swapped else [plain, other])


def test_a_table_says_what_the_figures_of_a_rule_do_not():
    table = Table([record("none", "mean", 90.0), record("lie", "nnm+foolsgold(memory=False)", 90.0)])
    assert [said for said in remarks(table) if "a small random change of each row undoes that" in said]
    assert not [said for said in remarks(Table(RECORDS)) if "undoes" in said]
