"""What the lens sees in a run: the rows of each round, and that looking changes nothing."""

import json
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from keeps import Keeps
from tiny import Cuts, Tiny

from gradskew import aggregators, attacks
from gradskew.aggregators import Mean, Outcome
from gradskew.core.rows import Rows
from gradskew.data.partition import IID
from gradskew.federation.evaluation import evaluate
from gradskew.federation.optimizer import SGD
from gradskew.federation.rounds import Federation
from gradskew.federation.run import Run
from gradskew.federation.simulation import simulate
from gradskew.models import Linear
from gradskew.report.lens import Lens, Overview
from gradskew.runs.record import Record
from gradskew.runs.store import Store
from gradskew.skew import Picture, measure

BASE = Run(
    source=Tiny(),
    partition=IID(),
    model=Linear(),
    clients=12,
    byzantine=2,
    rounds=4,
    sgd=SGD(epochs=2, batch=5, lr=0.2),
)


@dataclass(frozen=True, kw_only=True)
class Breaks(Mean):
    """A rule whose aggregate is not finite."""

    key: ClassVar[str] = "breaks"

    def outcome(self, rows: Rows, f: int, generator: torch.Generator) -> Outcome:
        return Outcome(torch.full((rows.d,), torch.inf))


@pytest.mark.parametrize("rule", ["mean", "multikrum", "nnm+median", "bucketing+rfa", "cclip"])
@pytest.mark.parametrize("attack", ["none", "strike", "minmax", "mimic"])
def test_looking_changes_nothing(rule: str, attack: str) -> None:
    run = replace(BASE, attack=attacks.make(attack), aggregator=aggregators.make(rule), sampled=9)
    seen, blind = simulate(run), simulate(replace(run, lens=False))
    assert seen.params_sha256 == blind.params_sha256
    assert [{k: v for k, v in metrics.items() if k != "lens"} for metrics in seen.rounds] == blind.rounds
    assert blind.class_counts is None
    assert not blind.pictures


def test_each_round_is_that_of_its_rows() -> None:
    rule = Keeps()
    result = simulate(replace(BASE, attack=attacks.make("strike"), aggregator=rule))
    for rows, metrics in zip(rule.kept, result.rounds, strict=True):
        seen, wanted = metrics["lens"], measure(rows[2:], 2, n=12)
        assert {key: seen[key] for key in wanted.to_json()} == wanted.to_json()
        assert seen["f"] == 2
        assert seen["kappa"] == pytest.approx((metrics["distance"] / wanted.spread) ** 2, rel=1e-5)
        assert (seen["selected"], seen["shut_out"], seen["clients"]) == (1.0, [], None)
        assert len(seen["classes"]) == 3
    json.dumps(result.rounds, allow_nan=False)


def test_without_a_byzantine_client_a_fifth_is_supposed() -> None:
    seen = simulate(replace(BASE, byzantine=0)).rounds[0]["lens"]
    assert (seen["f"], seen["skewed"], seen["selected"]) == (2, 12 * 8 // 10, None)
    assert seen["kappa"] == pytest.approx(0, abs=1e-10)


def test_accuracy_is_that_of_the_classes_together() -> None:
    federation = Federation(BASE)
    tested = evaluate(federation.flat, federation.dataset, federation.loss)
    accuracy, classes = tested.accuracy, tested.classes
    labels = federation.dataset.test.labels
    images = federation.dataset.inputs(federation.dataset.test.inputs)
    guesses = federation.flat.module(images).argmax(1)
    assert accuracy == 100 * int((guesses == labels).sum()) / 20
    for label, value in enumerate(classes):
        right = (guesses == labels)[labels == label].double().mean()
        assert value == pytest.approx(100 * float(right), rel=1e-5)


def test_a_class_without_test_images_has_no_accuracy() -> None:
    federation = Federation(replace(BASE, source=Tiny(classes=40)))
    classes = evaluate(federation.flat, federation.dataset, federation.loss).classes
    present = set(federation.dataset.test.labels.tolist())
    assert [value is not None for value in classes] == [label in present for label in range(40)]


def test_class_counts_are_those_of_the_clients() -> None:
    run = replace(BASE, partition=Cuts(sizes=(4,) * 12))
    labels = run.source.load().train.labels
    wanted = [[int((labels[4 * i : 4 * i + 4] == c).sum()) for c in range(3)] for i in range(12)]
    assert simulate(run).class_counts == wanted


def test_a_great_many_class_counts_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradskew.federation.rounds.MOST_COUNTS", 35)
    assert simulate(replace(BASE, rounds=1)).class_counts is None


def test_sampled_clients_are_named() -> None:
    result = simulate(replace(BASE, sampled=5, byzantine=3))
    for metrics in result.rounds:
        seen = metrics["lens"]
        assert len(seen["clients"]) == len(seen["towards"]) == 5 - metrics["byzantine_rows"]
        assert min(seen["clients"]) >= 3


def test_a_round_without_an_honest_row_shows_nothing() -> None:
    result = simulate(replace(BASE, source=Tiny(overflow=0), sgd=replace(BASE.sgd, clip=None)))
    assert [metrics["lens"] for metrics in result.rounds] == [None] * 4
    assert Lens(Record.of(result)).rounds == []
    assert Lens(Record.of(result)).estimate("skewness") is None


def test_an_aggregate_that_is_not_finite_has_no_kappa() -> None:
    result = simulate(replace(BASE, aggregator=Breaks(), rounds=1))
    assert not result.rounds[0]["stepped"]
    assert result.rounds[0]["lens"]["kappa"] is None
    assert all(picture.aggregate is None for picture in result.pictures)


def test_bounds_are_those_of_the_rule_and_only_where_it_was_told_the_truth() -> None:
    run = replace(BASE, aggregator=aggregators.make("median"), rounds=1)
    bound = run.aggregator.kappa_bound(12, 2)
    assert simulate(run).rounds[0]["lens"]["kappa_bound"] == (None if bound is None else pytest.approx(bound, rel=1e-5))
    fooled = replace(run, told="expected", sampled=5, byzantine=1)  # told one, though mostly none is there
    told = [metrics for metrics in simulate(fooled).rounds if metrics["byzantine_rows"] != metrics["f"]]
    assert all(metrics["lens"]["kappa_bound"] is None for metrics in told)
    mean = simulate(replace(run, aggregator=aggregators.make("mean"))).rounds[0]["lens"]["kappa_bound"]
    assert mean in ("inf", None)


def test_pictures_are_those_of_the_chosen_rounds(tmp_path) -> None:
    run = replace(BASE, attack=attacks.make("strike"), rounds=5)
    assert {picture.round for picture in simulate(run).pictures} == {0, 2, 4}
    assert simulate(replace(run, pictures=())).pictures == []
    result = simulate(replace(run, pictures=(3,)))
    assert [(picture.round, picture.method) for picture in result.pictures] == [(3, "lle"), (3, "pca")]
    for picture in result.pictures:
        assert (len(picture.honest), len(picture.byzantine), sum(picture.skewed)) == (10, 2, 8)
    store = Store(tmp_path)
    store.prepare()
    digest = store.save(result, 1.0).digest
    assert store.pictures(digest) == result.pictures
    assert store.timing(digest)["seconds"] == 1.0


@pytest.mark.parametrize("content", ["", "{}", "5", '[{"round": 0}]', "[" * 100_000])
def test_damaged_pictures_are_none(content: str, tmp_path) -> None:
    folder = tmp_path / "runs" / "digest"
    folder.mkdir(parents=True)
    (folder / "pictures.json").write_text(content)
    (folder / "timing.json").write_text(content.replace("{}", "[]"))
    assert Store(tmp_path).pictures("digest") == []
    assert Store(tmp_path).timing("digest") == {}
    assert Store(tmp_path).pictures("missing") == []


def round_of(towards: list[float], **seen: object) -> dict[str, object]:
    usual = {"f": 1, "skewed": 2, "towards": towards, "principal": towards, "principal_share": 0.5, "shift": 0.2}
    usual |= {"density": None, "spread": 1.0, "kappa": 0.5, "kappa_bound": "inf", "selected": None, "shut_out": []}
    return {**usual, "clients": None, "classes": None, **seen}


def record_of(*rounds: dict[str, object] | None) -> Record:
    metrics = [{"round": t, "accuracy": 50.0, "lens": seen} for t, seen in enumerate(rounds)]
    return Record({"byzantine": 1, "clients": 4}, metrics, "", [[9, 9], [4, 0], [0, 2], [6, 2]])


def test_series_by_hand() -> None:
    record = record_of(
        round_of([-2.0, 0.5, 0.5, 1.0], kappa=0.5, shut_out=[1, 3], classes=[10.0, 20.0]),
        None,
        round_of([0.0, 0.0, 0.0, 0.0], kappa=None, selected=0.5),
        round_of([-1.0, 1.0], kappa=0.25, kappa_bound=3.0, clients=[2, 3], shut_out=[3]),
    )
    lens = Lens(record)
    assert lens.rounds == [0, 2, 3]
    assert lens.series("above") == [0.75, 0.0, 0.5]
    assert lens.series("skewness")[1:] == [None, 0.0]
    assert lens.series("kappa") == [0.5, None, 0.25]
    assert lens.series("kappa_max") == [0.5, 0.5, 0.5]
    assert lens.series("kappa_bound") == [math.inf, math.inf, 3.0]
    assert lens.series("selected") == [None, 0.5, None]
    assert lens.series("shut_out") == [2, 0, 1]
    assert lens.shut_out_rates == {1: 1 / 2, 2: 0.0, 3: 2 / 3}
    # class 0: 1/2 of 4 and 2/3 of 6 of 10 images; class 1: 2/3 of 2 of 4
    assert lens.classes_shut_out() == pytest.approx([6 / 10, 1 / 3])
    assert lens.class_accuracies() == [10.0, 20.0]
    assert lens.estimate("kappa").value == 0.375
    assert lens.estimate("kappa").text == "0.38"


def test_lengths_and_progress_by_hand() -> None:
    """Rows 1 and 3 have the mean 2 and the spread 1; then a mean of zeros, and a round of an earlier version."""
    lens = Lens(
        record_of(
            round_of([0.0] * 3, spread=1.0, mean_norm=2.0, cosine=1.0, progress=-0.5, farthest=1.0),
            round_of([0.0] * 3, spread=1.0, mean_norm=0.0, cosine=None, progress=None, farthest=1.0),
            round_of([0.0] * 3),
        )
    )
    assert lens.series("relative_divergence") == [0.5, None, None]
    assert lens.series("dissimilarity") == [pytest.approx(math.sqrt(5) / 2), None, None]
    assert lens.series("progress") == [-0.5, None, None]
    assert lens.series("cosine") == [1.0, None, None]
    assert lens.estimate("cosine").value == 1
    assert lens.series("unit_mean") == [1.0, None, None]
    pairs = Overview([lens]).pairs()
    assert (pairs.without_g, pairs.with_b_one.constant) == (None, 1)
    assert Overview([Lens(record_of(round_of([0.0] * 3)))]).pairs() is None


def test_labels_are_those_of_the_honest_clients() -> None:
    """Client 0 is Byzantine. The others have 10 and 4 images of 14; each TV by hand."""
    lens = Lens(record_of(round_of([0.0] * 3)))
    p = 10 / 14
    wanted = ((1 - p) + p + (p - 6 / 8 if p > 6 / 8 else 6 / 8 - p)) / 3
    assert lens.estimate("label_distance").value == pytest.approx(wanted)
    known = {measure.key: value.value for measure, value in Overview([lens]).heterogeneity}
    assert set(known) == {"spread", "label_distance", "effective_classes"}


def test_labels_by_round_are_those_of_the_clients_that_were_there() -> None:
    """Clients 1 and 2 have classes of their own, (4, 0) and (0, 4), and client 3 half of each: then 2 and 3 only."""
    rounds = [round_of([0.0] * 3), round_of([0.0] * 2, clients=[2, 3])]
    lens = Lens(replace(record_of(*rounds), class_counts=[[9, 9], [4, 0], [0, 4], [2, 2]]))
    assert lens.series("label_distance") == pytest.approx([1 / 3, 1 / 4])
    assert lens.series("effective_classes") == pytest.approx([4 / 3, 3 / 2])
    assert Lens(replace(record_of(*rounds), class_counts=None)).series("label_distance") == [None, None]


def test_the_ratio_of_byzantine_clients_is_one_of_all_rounds() -> None:
    """Two of twelve: 2 / 10. Where none is Byzantine a fifth is supposed: 2 of 12, too. Sampled rounds differ."""
    assert Lens(Record.of(simulate(BASE))).byzantine_ratio == 2 / 10
    assert Lens(Record.of(simulate(replace(BASE, byzantine=0)))).byzantine_ratio == 2 / 10
    sampled = Record.of(simulate(replace(BASE, sampled=5, byzantine=3)))
    assert len({metrics["byzantine_rows"] for metrics in sampled.rounds}) > 1
    assert Lens(sampled).byzantine_ratio is None


def test_the_mean_direction_of_each_round_is_that_of_its_rows() -> None:
    rule = Keeps()
    result = simulate(replace(BASE, aggregator=rule))
    units = [torch.nn.functional.normalize(rows[2:].double()).mean(0).norm() for rows in rule.kept]
    assert Lens(Record.of(result)).series("unit_mean") == pytest.approx([float(each) for each in units], abs=1e-5)


def test_a_record_of_the_first_lens_is_read(tmp_path) -> None:
    """It lacks what later versions measure, and comes back byte by byte."""
    record = Record.of(simulate(BASE))
    later = {"farthest", "mean_norm", "cosine", "progress"}  # from which others follow
    rounds = [{**m, "lens": {k: v for k, v in m["lens"].items() if k not in later}} for m in record.rounds]
    text = replace(record, rounds=rounds, spec={**record.spec, "lens": 1}).to_json()
    old = Record.from_json(text)
    assert old.to_json() == text
    for name in ("progress", "unit_mean", "relative_divergence"):
        assert Lens(old).series(name) == [None] * BASE.rounds
    assert Lens(old).series("kappa") == Lens(record).series("kappa")
    assert len(Overview([Lens(old)]).values) == len(Overview([Lens(record)]).values)


def test_a_rule_that_weighs_no_rows_shuts_nobody_out() -> None:
    lens = Lens(record_of(round_of([-1.0, 0.0, 1.0], shut_out=None)))
    assert lens.series("shut_out") == [None]
    assert lens.shut_out_rates == {}
    assert lens.classes_shut_out() is None


def test_an_estimate_has_the_interval_of_clients_drawn_again() -> None:
    """Over rounds with the same projections the mean is that of one round, and so is its interval."""
    towards = np.random.Generator(np.random.PCG64(1)).exponential(size=30).round(4).tolist()
    one, many = Lens(record_of(round_of(towards))), Lens(record_of(*[round_of(towards)] * 5))
    estimate = one.estimate("skewness")
    assert (many.estimate("skewness").low, many.estimate("skewness").high) == pytest.approx(
        (estimate.low, estimate.high)
    )
    assert estimate.low < estimate.value < estimate.high
    assert one.band("skewness") == [(estimate.low, estimate.high)]
    assert estimate.text == f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def test_without_the_lens_there_is_nothing_to_see() -> None:
    record = Record.of(simulate(replace(BASE, lens=False)))
    assert Lens(record).rounds == []
    assert Lens(record).class_accuracies() is None
    assert "lens" not in record.spec
    assert "class_counts" not in json.loads(record.to_json())


def test_a_record_with_the_lens_comes_back(tmp_path) -> None:
    store = Store(tmp_path)
    store.prepare()
    saved = store.save(simulate(BASE), 1.0)
    assert store.load(BASE.digest) == saved
    assert saved.class_counts is not None
    assert isinstance(store.pictures(BASE.digest)[0], Picture)
    assert torch.tensor(saved.class_counts).shape == (12, 3)
