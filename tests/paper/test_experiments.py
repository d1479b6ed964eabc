"""The paper's experiments as grids: which runs, under which settings, printed where."""

import pytest
import torch
from tiny import hashed

from gradskew import aggregators, attacks, data, models
from gradskew.core.errors import InputError
from gradskew.data.partition import IID, Dirichlet
from gradskew.federation.optimizer import SGD
from gradskew.paper.catalogue import AUTHORS, PRESET, SMALL
from gradskew.paper.experiments import draw_rounds, grouped, is_whole, notes, plan, sheets
from gradskew.runs.record import Record


@pytest.mark.parametrize(("name", "runs"), [("table1", 49), ("table2", 12), ("figure4", 49), ("figure7", 56)])
def test_the_grid_is_the_papers(name: str, runs: int) -> None:
    planned = plan(name, dataset="digits")
    assert len(planned) == runs == len({place.run.digest for place in planned})
    assert {(p.run.clients, p.run.num_byzantine, p.run.partition) for p in planned} == {
        (50, 10, Dirichlet(beta=0.5, min_samples=2))
    }


def test_figure_8_plays_table_1_under_six_partitions() -> None:
    planned = plan("figure8", dataset="digits", attacks="strike", aggregators="median,rfa")
    assert [(p.sheet, p.row, p.column) for p in planned[:3]] == [
        ("Median", "STRIKE", "0.1"),
        ("RFA", "STRIKE", "0.1"),
        ("Median", "STRIKE", "0.2"),
    ]
    wanted = [*(Dirichlet(beta=beta, min_samples=2) for beta in (0.1, 0.2, 0.5, 0.7, 0.9)), IID()]
    assert [p.run.partition for p in planned[::2]] == wanted


def test_a_run_that_two_experiments_share_is_one_run() -> None:
    one = {place.run.digest for place in plan("table1", dataset="digits", attacks="strike")}
    other = {place.run.digest for place in plan("figure7", dataset="digits", attacks="strike(nu=1)")}
    assert one == other
    assert len(one) == 7


def test_settings_are_the_strike_authors() -> None:
    run = plan("table1", dataset="digits", attacks="strike", aggregators="median")[0].run
    assert run.attack == attacks.STRIKE(middle="upper", max_alpha=10.0, few="extrapolate")
    assert run.aggregator == aggregators.Median(middle="upper")
    assert (run.buffers, run.redraw_knowledge) == ("aggregated", True)
    assert run.sgd.weight_decay == 1e-4
    assert run.sgd.clip == 2.0


def test_the_figures_of_updates_have_100_clients() -> None:
    """Figure 1 shows the rows of an attack, Figure 2 honest ones."""
    for name, attack, byzantine, rounds in (("figure1", attacks.STRIKE, 20, 1), ("figure2", attacks.NoAttack, 0, 6)):
        (place,) = plan(name, dataset="digits")
        run = place.run
        assert (run.clients, run.num_sampled, run.num_byzantine) == (100, 100, byzantine)
        assert (type(run.attack), run.aggregator) == (attack, aggregators.Mean())
        assert len(run.pictured) == rounds
        assert run.lens
    (place,) = plan("figure1", dataset="digits", attacks="none")
    assert place.run.num_byzantine == 0


def test_the_figures_of_updates_take_all_100_clients_and_200_rounds_of_femnist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr("gradskew.paper.experiments.make_runs", lambda options: asked.append(options) or [])
    plan("figure2", scale="paper", dataset="femnist")
    plan("figure2", scale="paper", dataset="femnist", rounds=7)
    assert [(given["clients"], given["sampled"], given["rounds"]) for given in asked] == [
        (100, 100, 200),
        (100, 100, 7),
    ]


def test_the_rounds_that_a_seed_draws_are_pictured_and_the_run_ends_with_the_last() -> None:
    for seed in (0, 3):
        order = torch.randperm(60, generator=torch.Generator().manual_seed(hashed(seed, "figure rounds"))).tolist()
        assert draw_rounds(seed, 60, 6) == sorted(order[:6])
        (place,) = plan("figure2", dataset="digits", rounds=60, seeds=f"{seed},")
        assert place.run.pictured == set(order[:6])
        assert place.run.rounds == max(order[:6]) + 1
    assert draw_rounds(7, 6, 6) == list(range(6))
    assert draw_rounds(7, 3, 6) == list(range(3))


def test_a_part_is_told_from_the_whole() -> None:
    def whole(**given) -> bool:
        return is_whole("table2", "small", [place.run for place in plan("table2", dataset="digits", **given)])

    assert whole()
    assert whole(seeds="3")
    assert whole(attacks="strike,mimic,lie,bitflip,none")
    assert not whole(attacks="strike")
    assert not whole(aggregators="nnm+rfa")
    assert not whole(rounds=3)
    assert not whole(seeds="1,2")


def test_a_figure_of_other_rows_or_rounds_is_a_part() -> None:
    def whole(**given) -> bool:
        return is_whole("figure1", "small", [place.run for place in plan("figure1", dataset="digits", **given)])

    assert whole()
    assert whole(seeds="2")
    assert not whole(attacks="none")
    assert not whole(seeds="1,")


def test_names_are_printed_as_in_the_paper_and_others_as_written() -> None:
    planned = plan("table1", dataset="digits", attacks="none,lie,lie(z=2.0)", aggregators="multikrum,nnm+rfa")
    assert list(dict.fromkeys(p.row for p in planned)) == ["none", "LIE", "lie(z=2.0)"]
    assert list(dict.fromkeys(p.column for p in planned)) == ["Multi-Krum", "nnm(itself=False)+rfa"]
    assert [p.column for p in plan("table2", dataset="digits", attacks="lie")] == [
        "NNM + Median",
        "NNM + RFA",
        "NNM + DnC",
    ]
    assert [p.row for p in plan("figure7", dataset="digits", aggregators="rfa")][::4] == ["0.25", "1.25"]


def test_filters_take_a_part() -> None:
    planned = plan("table1", dataset="digits", attacks="ipm", aggregators="rfa,dnc", rounds=3, seeds="2,5")
    assert [(p.row, p.column, p.run.seed, p.run.rounds) for p in planned] == [
        ("IPM", "RFA", 2, 3),
        ("IPM", "RFA", 5, 3),
        ("IPM", "DnC", 2, 3),
        ("IPM", "DnC", 5, 3),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "table3"}, "unknown experiment 'table3'; did you mean 'table"),
        ({"name": "table1", "scale": "big"}, "scale must be one of small, paper, not 'big'"),
        ({"name": "table1", "scale": "paper", "dataset": "digits"}, "digits is not in the paper: .* use --scale small"),
        ({"name": "table1", "dataset": "nist"}, "unknown dataset 'nist'"),
        ({"name": "table1", "dataset": "digits", "attacks": "lye"}, "unknown attack 'lye'; did you mean 'lie'"),
    ],
)
def test_bad_input_is_one_line(given: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(**given)


def test_scales_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without their files: what make_runs would be asked for, on every data set of the paper."""
    asked = []
    monkeypatch.setattr("gradskew.paper.experiments.make_runs", lambda options: asked.append(options) or [])
    for dataset, recipe in AUTHORS.items():
        plan("table1", scale="paper", dataset=dataset)
        assert asked[-1]["dataset"] == dataset
        assert models.make(asked[-1]["model"]).key == recipe["model"]
        SGD(**{key: recipe[key] for key in ("epochs", "batch", "lr", "momentum")})
    for dataset, written in SMALL.items():
        plan("table1", dataset=dataset)
        assert asked[-1]["dataset"] == written
        assert data.make(written).key == dataset
        assert asked[-1].items() >= data.SOURCES.find(dataset).recipe.items()
        assert asked[-1]["preset"] == PRESET
    plan("table1", dataset="cifar10(train_size=5)")
    assert asked[-1]["dataset"] == "cifar10(train_size=5)"


def records_of(planned: list, accuracy: float = 50.0) -> list[Record]:
    return [Record(place.run.content, [{"accuracy": accuracy + i}], "0" * 64) for i, place in enumerate(planned)]


def test_records_go_where_the_paper_prints_them() -> None:
    planned = plan("figure8", dataset="digits", attacks="lie,strike", aggregators="median", seeds="2")
    records = records_of(planned)
    (sheet,) = sheets("figure8", planned, records[:-1])
    assert (sheet.title, sheet.rows, sheet.columns) == (
        "Median",
        ["LIE", "STRIKE"],
        ["0.1", "0.2", "0.5", "0.7", "0.9", "IID"],
    )
    assert sheet.cells["LIE", "0.2"].mean == pytest.approx((54 + 55) / 2)
    assert len(sheet.cells["STRIKE", "IID"].records) == 1
    assert [len(group) for group in grouped(planned, records)] == [4] * 6
    assert sheets("figure8", planned, []) == []


def test_a_note_says_of_which_partitions_it_is_true() -> None:
    """cclip clips a row under beta = 0.2 alone; the attack is run nowhere."""
    planned = plan("figure8", dataset="digits", attacks="lie", aggregators="cclip", rounds=1)[:3]
    usual = {"rejected": 0, "stepped": True, "clamped": False, "attack": {"called": False}}
    records = [
        Record(place.run.content, [{**usual, "rule": {"clipped": clipped}}], "0" * 64)
        for place, clipped in zip(planned, (0, 1, 0), strict=True)
    ]
    assert notes(grouped(planned, records)) == [
        "dirichlet(beta=0.1,min_samples=2), dirichlet(beta=0.5,min_samples=2): cclip clipped no row in any round: "
        "with this tau it is the mean.",
        "lie was not run in 1 of 1 round: no Byzantine row, or no known honest row.",
    ]
