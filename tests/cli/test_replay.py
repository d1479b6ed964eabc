"""From a record's spec back to the command line: what that line plays is the same run."""

import shlex

import pytest

from gradskew.cli import cli
from gradskew.cli.replay import command
from gradskew.runs import settings
from gradskew.runs.record import Record

LINES = [
    "",
    "--attacks none,strike(nu=0.5) --aggregators mean,nnm+multikrum(m=1) --seeds 3",
    "--seeds 7,",
    "--seeds 4,2",
    "--preset byzfl --aggregators rfa,cclip --attacks ipm,lie(z=1.0)",
    "--preset strike-authors --attacks mimic,strike --aggregators bucketing(s=3)+median",
    "--partition iid --clients 10 --byzantine 0.3 --sampled 7 --model linear",
    "--partition dirichlet(beta=0.1) --min-samples 1 --model mlp(hidden=7)",
    "--no-lens --told expected --knowledge 0.5 --evaluate-every 3 --threads 2",
    "--pictures 0,4 --rounds 5 --epochs 3 --batch 4 --lr 0.3 --momentum 0.1 --weight-decay 0 --clip 1.5",
    "--pictures none --precision bf16 --engine loop",
    "--aggregators mean,fltrust(none_trusted=uniform) --attacks none --root-examples 40",
    "--aggregators NNM+Krum,krum --attacks Lie",
    "--local-steps 4 --batch 8 --local fedprox(mu=0.3) --worker-momentum 0.9 --worker-momentum-start first",
    "--local-steps 1 --rows gradient --server fedadam(lr=0.05,tau=0.01) --attacks bitflip(how=training) --rules rfa",
    "--local-steps 3 --momentum 0 --local Scaffold(control=sent) --server FedAvgM --rules median",
    "--rows fednova --rules mean",
    "--probe --votes --rules vote(a=mean,b=median) --attacks none",
    "--known own --attack-rounds 01:9:2 --attacks lie --rules median --rounds 20",
]


def runs_of(line: str):
    context = cli.commands["bench"].make_context("bench", shlex.split(line))
    return settings.make_runs({name: value for name, value in context.params.items() if name not in ("out", "workers")})


@pytest.mark.parametrize("line", LINES)
def test_the_line_plays_the_same_runs(line: str) -> None:
    runs = runs_of(line)
    records = [Record(run.content, [], "") for run in runs]
    said = command(records)
    assert said is not None
    assert said.startswith("gradskew bench ")
    options = [word for word in said.split() if word.startswith("--")]
    assert len(options) == len(set(options))
    again = runs_of(said.removeprefix("gradskew bench "))
    assert {run.digest for run in again} == {record.digest for record in records}


def test_data_in_files_are_named_by_a_word() -> None:
    (run, *_) = runs_of("--attacks none --aggregators mean")
    spec = {**run.content, "dataset": "cifar10(train_size=100)"}
    said = command([Record(spec, [], "")])
    assert "--dataset 'cifar10(train_size=100)' --data FOLDER" in said
    hub = command([Record({**spec, "dataset": "hf(hub=ylecun/mnist)"}, [], "")])
    assert "--dataset 'hf(hub=ylecun/mnist)' --partition" in hub


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "my own"},
        {"dataset": "tiny"},
        {"attack_name": "unknown"},
        {"aggregator_name": "nnm+unknown"},
        {"model": {"name": "user"}},
    ],
    ids=str,
)
def test_what_no_line_can_say_has_none(changes) -> None:
    (run, *_) = runs_of("--attacks none --aggregators mean")
    assert command([Record({**run.content, **changes}, [], "")]) is None
