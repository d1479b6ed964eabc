"""The full-batch gradients of the honest clients beside plain autograd, and runs with and without them."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from test_losses import CASES
from tiny_runs import BASE, RUNS
from torch.nn.functional import cross_entropy

from gradskew import InputError, Record, Run, simulate
from gradskew.federation import Federation
from gradskew.federation.snapshot import Snapshot
from gradskew.report.lens import Lens, Overview
from gradskew.skew.gradients import differences

SPREAD, NORM, COSINE = "gradient_spread", "gradient_mean_norm", "gradient_cosine"
PROBED = {name: replace(RUNS[name], probe=True, rounds=3) for name in ("mean", "sampled strike", "batch norm")}


def by_hand(federation: Federation, clients: list[int]) -> dict[str, float]:
    """The same numbers from a matrix of gradients, by autograd in float64, in the mode of a test."""
    module = copy.deepcopy(federation.flat.module).double().eval()
    rows = []
    for client in clients:
        index = federation.parts[client]
        inputs = federation.dataset.inputs(federation.dataset.train.inputs[index]).double()
        loss = cross_entropy(module(inputs), federation.labels[index])
        rows.append(torch.cat([grad.flatten() for grad in torch.autograd.grad(loss, [*module.parameters()])]))
    matrix = torch.stack(rows)
    mean, unit = matrix.mean(0), matrix / matrix.norm(dim=1, keepdim=True)
    h = len(rows)
    return {
        SPREAD: (matrix - mean).square().sum(1).mean().sqrt().item(),
        NORM: mean.norm().item(),
        COSINE: ((unit @ unit.T).sum() - h).item() / (h * (h - 1)),
    }


@pytest.mark.parametrize("run", PROBED.values(), ids=list(PROBED))
def test_gradients_are_those_of_autograd_at_the_model_before_the_step(run: Run) -> None:
    federation = Federation(run)
    for number in range(run.rounds):
        honest = [client for client in federation.sample(number) if client >= run.num_byzantine]
        exact = by_hand(federation, honest)
        found = federation.round(number)["lens"]
        assert {name: found[name] for name in exact} == pytest.approx(exact, rel=1e-3, abs=1e-5)


def test_the_probe_changes_no_result() -> None:
    run = RUNS["batch norm"]
    plain, probed = simulate(run), simulate(replace(run, probe=True))
    assert plain.params_sha256 == probed.params_sha256
    for before, after in zip(plain.rounds, probed.rounds, strict=True):
        added = {*after["lens"]} - {*before["lens"]}
        assert added == {SPREAD, NORM, COSINE}
        assert {**after, "lens": {key: after["lens"][key] for key in before["lens"]}} == before


def test_only_a_run_with_the_probe_has_it_in_its_spec() -> None:
    assert "probe" not in BASE.content
    assert replace(BASE, probe=True).content["probe"] is True
    with pytest.raises(InputError, match="the lens, which is off"):
        replace(BASE, probe=True, lens=False)


def test_a_round_without_an_honest_row_has_no_lens() -> None:
    run = replace(BASE, probe=True, sampled=1, byzantine=5, rounds=20)
    lenses = [metrics["lens"] for metrics in simulate(run).rounds]
    assert None in lenses
    assert all(lens[SPREAD] == 0 and lens[COSINE] is None for lens in lenses if lens)
    assert any(lenses)


def test_gradients_of_two_by_hand() -> None:
    """(3, 4) and (0, 0): mean (1.5, 2) of norm 2.5, both 2.5 away from it; the cosine with zeros is 0."""
    rows = [torch.tensor([3.0, 4.0]), torch.zeros(2)]
    assert differences(rows) == {SPREAD: 2.5, NORM: 2.5, COSINE: 0.0}


def test_one_gradient_has_no_cosine_and_equal_ones_no_spread() -> None:
    row = torch.tensor([0.1, 0.7])
    assert differences([row])[COSINE] is None
    assert differences([row] * 7)[SPREAD] == 0.0


def test_long_gradients_that_differ_little_keep_their_spread() -> None:
    rows = [torch.tensor([1e6, 1.0]), torch.tensor([1e6, 3.0])]
    assert differences(rows)[SPREAD] == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_leaves_all_unknown(bad: float) -> None:
    rows = [torch.tensor([1.0, bad]), torch.tensor([1.0, 2.0])]
    assert differences(rows) == dict.fromkeys((SPREAD, NORM, COSINE))


def test_the_report_reads_the_measures_of_gradients() -> None:
    record = Record.of(simulate(replace(BASE, probe=True)))
    lens = Lens(record)
    spread, norm = lens.series(SPREAD), lens.series(NORM)
    assert None not in spread
    relative = [a / b for a, b in zip(spread, norm, strict=True) if a is not None and b is not None]
    assert lens.series("gradient_relative_divergence") == pytest.approx(relative)
    cosine = lens.series(COSINE)[0]
    assert cosine is not None
    assert lens.series("gradient_unit_mean")[0] == pytest.approx(math.sqrt(1 / 5 + 4 / 5 * cosine))
    overview = Overview([lens])
    assert "gradient_dissimilarity" in {measure.key for measure, _ in overview.heterogeneity}
    assert "Of the full-batch gradients: B = " in overview.pairs_text
    assert "gradients" not in Overview([Lens(Record.of(simulate(BASE)))]).pairs_text


@pytest.mark.parametrize("loss", CASES)
def test_other_losses_are_probed_too(loss: str) -> None:
    source, model = CASES[loss]
    run = Run(source=source, model=model, loss=loss, clients=6, partition="iid", rounds=2, probe=True)
    assert all(metrics["lens"][SPREAD] > 0 for metrics in simulate(run).rounds)


def test_a_resumed_run_has_the_same_measures() -> None:
    run = replace(RUNS["batch norm"], probe=True)
    whole, first, second = Federation(run), Federation(run), Federation(run)
    rounds = [whole.round(number) for number in range(3)]
    kept = [first.round(number) for number in range(2)]
    assert second.restore(Snapshot.from_bytes(first.snapshot(kept).to_bytes(run.digest), run.digest)) == rounds[:2]
    assert second.round(2)["lens"] == rounds[2]["lens"]
