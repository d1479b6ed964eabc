"""The command line: what it does, one line for whatever is wrong, Ctrl-C, and two calls at once."""

import csv
import gzip
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command import COMMAND, TINY, records
from idx_files import write_fashion
from outside import until
from places import without_places

from gradskew.core.errors import InputError
from gradskew.data import Digits, FashionMNIST
from gradskew.data.partition import Dirichlet
from gradskew.runs import execution, settings
from gradskew.runs import sweeps as bench


@pytest.fixture
def tiny(call, tmp_path):
    """Run a tiny bench into tmp_path / "out"; later options count over the tiny ones."""

    def run(*arguments):
        return call("bench", *TINY.split(), "--out", tmp_path / "out", *arguments)

    return run


@pytest.fixture
def specs(call, monkeypatch):
    """The runs that a bench command would play."""

    def run(*arguments):
        seen = []

        def sweep(runs, out, **options):
            seen.extend(runs)
            raise InputError("seen")

        monkeypatch.setattr(bench, "sweep", sweep)
        outcome = call("bench", *arguments)
        assert outcome.err.splitlines()[-1] == "gradskew: seen", outcome.err
        return seen

    return run


def rows(folder):
    return list(csv.DictReader((folder / "results.csv").read_text().splitlines()))


def test_a_tiny_bench(tiny, tmp_path):
    outcome = tiny("--aggregators", "mean,nnm+median", "--seeds", "2")
    assert outcome.code == 0
    assert "8 runs done" in outcome.out
    out = tmp_path / "out"
    got = [(row["dataset"], row["attack"], row["aggregator"], row["seed"]) for row in rows(out)]
    assert got == [
        ("digits", attack, rule, seed)
        for attack in ("none", "lie")
        for rule in ("mean", "nnm+median")
        for seed in ("0", "1")
    ]
    assert all(0 <= float(row["accuracy"]) <= float(row["best_accuracy"]) <= 100 for row in rows(out))
    assert all(len(row["params_sha256"]) == 64 for row in rows(out))
    made = [
        "citations.bib",
        "heatmap.pdf",
        "heatmap.png",
        "report.html",
        "results.csv",
        "runs",
        "table.md",
        "table.tex",
    ]
    assert sorted(path.name for path in out.iterdir()) == made
    assert "nnm+median" in outcome.out
    assert "Traceback" not in outcome.err


def test_a_second_call_plays_nothing(tiny, tmp_path, monkeypatch):
    tiny()
    before = records(tmp_path / "out"), (tmp_path / "out" / "results.csv").read_bytes()
    monkeypatch.setattr(execution, "simulate", None)
    outcome = tiny()
    assert outcome.code == 0
    assert "0 runs done" in outcome.out
    assert (records(tmp_path / "out"), (tmp_path / "out" / "results.csv").read_bytes()) == before


def test_what_the_options_mean(specs):
    text = (
        "--attacks lie(z=1.0,sign=-1) --aggregators bucketing(s=3)+multikrum(m=2) --clients 20 --sampled 8 "
        "--byzantine 0.21 --beta 0.7 --min-samples 3 --rounds 9 --epochs 3 --batch 7 --lr 0.3 --momentum 0.4 "
        "--weight-decay 0.01 --clip 5 --knowledge 0.6 --seeds 4, --engine loop --threads 2 --model mlp(hidden=(9,8))"
    )
    (run,) = specs(*text.split())
    assert (run.attack.name, run.aggregator.name) == ("lie(z=1.0,sign=-1)", "bucketing(s=3)+multikrum(m=2)")
    assert (run.clients, run.num_sampled, run.num_byzantine) == (20, 8, 5)  # 4.2 rounded up
    assert run.partition == Dirichlet(beta=0.7, min_samples=3)
    assert (run.rounds, run.seed, run.engine, run.threads, run.knowledge) == (9, 4, "loop", 2, 0.6)
    sgd = run.sgd
    assert (sgd.epochs, sgd.batch, sgd.lr, sgd.momentum, sgd.weight_decay, sgd.clip) == (3, 7, 0.3, 0.4, 0.01, 5.0)
    assert run.model.hidden == (9, 8)


def test_the_defaults(specs):
    runs = specs()
    attacks = ["none", "bitflip", "labelflip", "lie", "ipm", "minmax", "minsum", "mimic", "strike"]
    rules = ["mean", "multikrum", "median", "rbtm", "rfa", "aksel", "cclip", "dnc"]
    assert [(run.attack.name, run.aggregator.name) for run in runs] == [(a, r) for a in attacks for r in rules]
    run = runs[0]
    assert run.source == Digits()
    assert run.partition == Dirichlet(beta=0.5, min_samples=2)
    assert (run.clients, run.num_sampled, run.num_byzantine, run.seed, run.threads) == (50, 50, 10, 0, 1)


@pytest.mark.parametrize(
    ("text", "seeds"), [("1", [0]), ("3", [0, 1, 2]), ("3,", [3]), ("7,0", [7, 0]), (" 5 , 6 ", [5, 6]), ("0,", [0])]
)
def test_seeds_are_a_count_or_a_list(specs, text, seeds):
    runs = specs("--attacks", "none", "--aggregators", "mean", "--seeds", text)
    assert [run.seed for run in runs] == seeds


def test_commas_inside_parentheses_do_not_split(specs):
    runs = specs("--attacks", "lie(z=1.0,sign=-1),none, strike(nu=0.5,max_alpha=3.0)", "--aggregators", "mean")
    assert [run.attack.name for run in runs] == ["lie(z=1.0,sign=-1)", "none", "strike(nu=0.5,max_alpha=3.0)"]


def test_presets(specs):
    (run,) = specs("--preset", "strike-authors", "--attacks", "strike", "--aggregators", "nnm+median")
    assert run.attack.max_alpha == 10
    assert (run.redraw_knowledge, run.buffers) == (True, "aggregated")


def test_fashion_mnist_from_a_folder(specs, tmp_path):
    folder = write_fashion(tmp_path / "files")
    (run,) = specs(
        *["--dataset", "fashion-mnist(train_size=4)", "--data", folder, "--partition", "iid", "--clients", 2],
        *["--byzantine", 0, "--attacks", "none", "--aggregators", "mean"],
    )
    assert run.source == FashionMNIST(train_size=4, folder=folder)
    assert len(run.source.load().train) == 4


CONFIG = """
dataset = "digits"
attacks = ["lie(z=1.0,sign=-1)", "none"]
aggregators = "mean,median"
clients = 6
byzantine = 0.2
rounds = 3
lr = 0.25
seeds = [5]
min_samples = 4
"""


def test_a_config_file(specs, tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(CONFIG)
    runs = specs(path)
    assert [(run.attack.name, run.aggregator.name, run.seed) for run in runs] == [
        (attack, rule, 5) for attack in ("lie(z=1.0,sign=-1)", "none") for rule in ("mean", "median")
    ]
    run = runs[0]
    assert (run.clients, run.num_byzantine, run.rounds, run.sgd.lr, run.partition.min_samples) == (6, 2, 3, 0.25, 4)


@pytest.mark.parametrize(
    ("attacks", "rules"),
    [("attacks", "rules"), ("attack", "rule"), ("attacks", "aggregators"), ("attack", "aggregator")],
)
def test_attacks_and_rules_have_one_meaning_under_all_their_names(specs, tmp_path, attacks, rules):
    path = tmp_path / "bench.toml"
    path.write_text(f'{attacks} = ["none", "alie"]\n{rules} = "trimmed-mean,krum"')
    written = specs(path)
    typed = specs(f"--{attacks}", "none,alie", f"--{rules}", "trimmed-mean,krum")
    for runs in (written, typed):
        cells = [(run.attack.name, run.aggregator.name) for run in runs]
        assert cells == [(attack, rule) for attack in ("none", "lie") for rule in ("rbtm", "multikrum(m=1)")]
    overridden = specs(path, "--rules", "median")
    assert {run.aggregator.name for run in overridden} == {"median"}


def test_a_setting_under_two_names_is_refused(call, tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text('rules = "mean"\naggregators = "median"')
    assert "rules is given twice: aggregators is the same setting" in call("bench", path).error()
    for command in ("bench", "paper table1", "skew"):
        for kind, names in {"rules": "--rules --aggregator", "attacks": "--attack --attacks"}.items():
            first, second = names.split()
            said = call(*command.split(), first, "mean", second, "median").error()
            assert f"{kind} is given twice: " in said
            assert first in said
            assert second in said
    outcome = call("bench", "--rules", "krum,multikrum(m=1)", "--attacks", "none")
    assert "an entry is given twice in rules" in outcome.error()


def test_a_list_in_a_list_is_refused(call, tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text("beta = [[0.1, 0.5], 1.0]")
    assert "the config key 'beta' has a list in its list" in call("bench", path).error()


@pytest.mark.parametrize("order", [1, -1])
def test_the_command_line_overrides_the_file(specs, tmp_path, order):
    path = tmp_path / "bench.toml"
    path.write_text(CONFIG)
    first, second = [[path], ["--rounds", 7, "--attacks", "strike", "--seeds", "2"]][::order]
    runs = specs(*first, *second)
    assert [(run.attack.name, run.seed) for run in runs] == [("strike", seed) for _ in range(2) for seed in (0, 1)]
    assert (runs[0].rounds, runs[0].clients) == (7, 6)


def test_what_the_attacker_knows_and_when_it_attacks(specs, tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(CONFIG + 'known = "own"\nattack_rounds = "1::1"')
    assert {(run.known, run.attack_rounds) for run in specs(path)} == {("own", "1:")}
    assert {(run.known, run.attack_rounds) for run in specs(path, "--attack-rounds", "::2")} == {("own", "::2")}


def test_what_the_clients_and_the_server_do(specs, tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(CONFIG + 'local_steps = 3\nlocal = "fedprox(mu=0.5)"\nserver = "fedavgm"\nworker_momentum = 0.5')
    for run in specs(path):
        assert (run.sgd.local_steps, run.sgd.epochs, run.local.name) == (3, 1, "fedprox(mu=0.5)")
        assert (run.server.name, run.worker_momentum) == ("fedavgm", 0.5)
    assert {run.server.name for run in specs(path, "--server", "FedAdam(lr=0.5)")} == {"fedadam(lr=0.5)"}


def test_the_file_may_name_the_folder(call, tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(f'out = "{tmp_path / "there"}"\nworkers = 1')
    assert call("bench", path, *TINY.split()).code == 0
    assert len(rows(tmp_path / "there")) == 2


BAD = {
    "attack": ("--attacks strik", "unknown attack 'strik'; did you mean 'strike'?"),
    "rule": ("--aggregators median,medan", "unknown rule 'medan'; did you mean 'median'?"),
    "mixing": ("--aggregators bucketin+mean", "did you mean 'bucketing'?"),
    "mixing alone": ("--aggregators nnm", "stands before a rule"),
    "option of a rule": ("--aggregators median(midle=lower)", "did you mean 'middle'?"),
    "dataset": ("--dataset digit", "did you mean 'digits'?"),
    "partition": ("--partition dirichle", "did you mean 'dirichlet'?"),
    "model": ("--model mpl", "did you mean 'mlp'?"),
    "preset": ("--preset papre", "did you mean 'paper'?"),
    "engine": ("--engine fast", "engine must be one of auto, batched, loop"),
    "option": ("--roundz 3", "--rounds"),
    "grammar": ("--attacks lie(z=", "cannot read 'lie(z='"),
    "odd literal": ("--attacks lie(z={[]:1})", "lie"),
    "all Byzantine": ("--byzantine 6", "leaves none of 6 clients honest"),
    "more Byzantine": ("--byzantine 7", "leaves none of 6 clients honest"),
    "nearly all Byzantine": ("--byzantine 0.9", "leaves none of 6 clients honest"),
    "negative Byzantine": ("--byzantine -1", "byzantine must be at least 0"),
    "NaN Byzantine": ("--byzantine nan", "byzantine must be a number"),
    "fraction of a client": ("--byzantine 1.5", "a whole number, or a share below 1"),
    "Byzantine word": ("--byzantine few", "neither a count nor a share"),
    "huge Byzantine": (f"--byzantine {10**400}", "byzantine must be a number"),
    "negative lr": ("--lr -0.1", "lr must be above 0"),
    "NaN lr": ("--lr nan", "lr must be a number"),
    "infinite lr": ("--lr inf", "lr must be a number"),
    "momentum": ("--momentum 1", "momentum must be at least 0 and below 1"),
    "decay": ("--weight-decay -1", "weight_decay must be at least 0"),
    "clip": ("--clip 0", "clip must be above 0"),
    "knowledge": ("--knowledge 1.1", "knowledge must be at least 0 and at most 1"),
    "known": ("--known some", "known must be one of honest, own"),
    "known twice": ("--known own --knowledge 0.5", "with known = own the attacker knows none"),
    "attack rounds": ("--attack-rounds 5", "attack_rounds is START:STOP:EVERY, such as 20:40:2, 20: or ::5, not '5'"),
    "no attack round": ("--attack-rounds 5:5", "5:5 has no round, as STOP is not above START"),
    "late attack rounds": ("--attack-rounds 700:", "attack_rounds = 700: begins after round "),
    "no steps": ("--local-steps 0", "local_steps must be at least 1"),
    "many steps": ("--local-steps 1000001", "local_steps must be at least 1 and at most 1000000"),
    "steps and epochs": ("--local-steps 5 --epochs 1", "epochs = 1 and local_steps = 5 are both given: choose one"),
    "gradients of epochs": ("--rows gradient", "rows = gradient needs local_steps = 1, not None"),
    "uneven steps of scaffold": ("--local scaffold --momentum 0", "scaffold needs local_steps: in epochs"),
    "unknown variant": ("--local fedprx", "unknown local variant 'fedprx'"),
    "two variants": ("--local fedprox+scaffold", "a local variant is one name"),
    "worker momentum": ("--worker-momentum 1", "worker_momentum must be at least 0 and below 1"),
    "unknown server": ("--server fedadm", "unknown server optimiser 'fedadm'"),
    "server's rate": ("--server fedadam(lr=0)", "fedadam: lr must be above 0"),
    "negative strength": ("--attacks strike(nu=-1)", "strike: nu must be at least 0"),
    "NaN strength": ("--attacks lie(z=nan)", "lie: z must be a number"),
    "huge strength": (f"--attacks lie(z={10**400})", "lie: z must be a number"),
    "tau": ("--aggregators cclip(tau=0)", "cclip: tau must be above 0"),
    "bucket": ("--aggregators bucketing(s=0)+mean", "bucketing: s must be at least 1"),
    "no beta": ("--beta 0", "beta must be above 0"),
    "NaN beta": ("--beta nan", "beta must be a number"),
    "beta of iid": ("--partition iid --beta 1", "the partition iid has no beta"),
    "minimum of iid": ("--partition iid --min-samples 3", "the partition iid has no min_samples"),
    "beta twice": ("--partition dirichlet(beta=2.0) --beta 1", "beta is given twice: 1.0 and, in"),
    "impossible beta": ("--clients 50 --beta 0.2 --min-samples 10", "best minimum"),
    "impossible minimum": ("--min-samples 240", "6 clients cannot have 240 inputs each: there are 1437"),
    "no client": ("--clients 0", "clients must be at least 1"),
    "many clients": ("--clients 1438", "1438 clients cannot share 1437 training inputs"),
    "absurd clients": (f"--clients {10**18}", f"{10**18} clients cannot share 1437"),
    "more sampled than clients": ("--sampled 7", "sampled must be at least 1 and at most 6"),
    "no round": ("--rounds 0", "rounds must be at least 1"),
    "absurd rounds": (f"--rounds {10**30}", "rounds must be at least 1 and at most"),
    "rounds beyond a float": (f"--rounds {10**400}", "rounds must be at least 1 and at most"),
    "absurd epochs": (f"--epochs {10**30}", "epochs must be at least 1 and at most"),
    "absurd batch": (f"--batch {10**30}", "batch must be at least 1 and at most"),
    "half a round": ("--rounds 1.5", "not a valid integer"),
    "no thread": ("--threads 0", "threads must be at least 1"),
    "absurd threads": (f"--threads {10**9}", "threads must be at least 1 and at most"),
    "no attacks": ("--attacks=", "empty entry in attacks"),
    "comma": ("--attacks none,", "empty entry in attacks"),
    "no rules": ("--aggregators=", "empty entry in rules"),
    "attack twice": ("--attacks lie,lie", "given twice in attacks"),
    "attack twice in other words": ("--attacks lie,lie(z=1.5)", "given twice in attacks"),
    "no seeds": ("--seeds=", "empty entry in seeds"),
    "zero seeds": ("--seeds 0", "seeds must be at least 1"),
    "absurd seeds": ("--seeds 999999999999", "seeds must be at least 1 and at most"),
    "negative seed": ("--seeds -1", "seeds is a count, or a comma-separated list"),
    "seed twice": ("--seeds 1,01", "a seed is given twice"),
    "empty seed": ("--seeds 1,,2", "empty entry in seeds"),
    "device": ("--device tpu", "unknown device 'tpu'"),
    "folder of the digits": ("--data /nowhere", "the digits are embedded"),
    "data folder": ("--dataset fashion_mnist --data /nowhere", "no folder '/nowhere'"),
    "config": ("nowhere.toml", "cannot read the config file 'nowhere.toml'"),
    "layers": ("--model mlp(hidden=())", "at least one layer"),
}


@pytest.mark.parametrize(("arguments", "says"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line(tiny, tmp_path, arguments, says):
    assert says in tiny(*arguments.split()).error()
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_cuda(tiny):
    for device in ("cuda", "cuda:0"):
        assert "no CUDA device here" in tiny("--device", device).error()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"roundz = 3", "unknown key in .*'roundz'; did you mean 'rounds'"),
        (b"min-samples = 3", "did you mean 'min_samples'"),
        (b"[bench]\nrounds = 3", "unknown key in .*'bench'"),
        (b'config = "x"', "unknown key"),
        (b"rounds = = 3", "not valid TOML"),
        (b"rounds = 3\nrounds = 4", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
        (b"rounds = " + b"9" * 5000, "not valid TOML"),
        (b"rounds = " + b"9" * 30, "rounds must be at least 1 and at most"),
        (b"attacks = " + b"[" * 5000 + b"]" * 5000, "not valid TOML"),
        (b"rounds = true", "'--rounds': 'True' is not a valid integer"),
        (b"rounds = 1.5", "not a valid integer"),
        (b"rounds = 2020-01-01", "'rounds' takes a number"),
        (b"rounds = {a = 1}", "'rounds' takes a number"),
        (b"lr = nan", "lr must be a number"),
        (b"seeds = []", "empty entry in seeds"),
        (b'out = "a\\u0000b"', "null character"),
    ],
)
def test_bad_config_files(call, tmp_path, content, says):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    outcome = call("bench", path, "--attacks", "none", "--aggregators", "mean", "--clients", 6)
    with pytest.raises(InputError, match=says):
        raise InputError(outcome.error())


def test_a_folder_as_config(call, tmp_path):
    assert "cannot read the config file" in call("bench", tmp_path).error()


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
@pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b"\0\0\x08\3" + b"\0" * 12, mtime=0)[:-4]])
def test_corrupt_data(tiny, tmp_path, name, content):
    folder = write_fashion(tmp_path / "files")
    (folder / name).write_bytes(content)
    assert name in tiny("--dataset", "fashion_mnist", "--data", folder).error()


def test_an_unwritable_folder(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot write to" in tiny("--out", tmp_path / "file" / "below").late_error()


@pytest.mark.parametrize("workers", ["0", "-3"])
def test_workers_below_one(tiny, workers):
    assert "workers" in tiny("--workers", workers).late_error()


def test_a_network_beyond_memory_is_one_line(tiny):
    error = tiny("--model", f"mlp(hidden={10**15})", "--attacks", "none").error()
    assert "out of memory on cpu before it starts: about " in error
    assert "batch = 8 halves the activations" in error


def test_a_network_that_the_images_are_too_small_for_is_one_line(tiny, tmp_path):
    assert "the model alexnet needs images of 29 x 29" in tiny("--model", "alexnet").error()


def test_a_network_of_other_outputs_is_one_line(tiny, tmp_path, monkeypatch):
    (tmp_path / "nets_of_five.py").write_text(
        "from torch import nn\ndef net(shape, num_classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    error = tiny("--model", "nets_of_five:net").error()
    assert "the model nets_of_five:net gives (2, 5) for 2 inputs, not (2, 10)" in error


def test_precision_is_a_setting(tiny):
    assert "precision = tf32 needs a CUDA device" in tiny("--precision", "tf32").error()
    assert "precision must be one of float32, tf32, bf16, not 'half'" in tiny("--precision", "half").error()


def test_a_failing_run_leaves_the_results_of_the_others(tiny, tmp_path, monkeypatch):
    simulate = execution.simulate

    def fail(run, **options):
        if (run.attack.name, run.aggregator.name) == ("lie", "median"):
            raise ZeroDivisionError("over\nhere")
        return simulate(run, **options)

    monkeypatch.setattr(execution, "simulate", fail)
    outcome = tiny("--aggregators", "mean,median")
    assert without_places(outcome.late_error()) == (
        "gradskew: lie against median, seed 0: ZeroDivisionError: over here; the other runs are stored"
    )
    out = tmp_path / "out"
    played = [("none", "mean"), ("none", "median"), ("lie", "mean")]
    assert [(row["attack"], row["aggregator"]) for row in rows(out)] == played
    lines = [line for line in (out / "table.md").read_text().splitlines() if line.startswith("| lie |")]
    assert len(lines) == 1
    assert lines[0].endswith("|  |")
    assert (out / "heatmap.png").read_bytes().startswith(b"\x89PNG")
    assert len(records(out)) == 3
    assert "median" in outcome.out

    monkeypatch.setattr(execution, "simulate", simulate)
    assert tiny("--aggregators", "mean,median").code == 0
    assert len(rows(out)) == 4


def test_what_ends_the_program_from_inside_is_one_line(tiny, monkeypatch):
    monkeypatch.setattr(execution, "simulate", lambda *_, **__: sys.exit(0))
    assert "a rule, an attack or a network ends the program (SystemExit: 0)" in tiny().late_error()


def test_a_failed_run_hides_no_failure_to_write(tiny, tmp_path, monkeypatch):
    inner = execution.simulate

    def fail(run, **given):
        return inner(run, **given) if run.attack.name == "none" else 1 / 0

    monkeypatch.setattr(execution, "simulate", fail)
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    outcome = tiny()
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if line.startswith("gradskew: ")]
    assert len(errors) == 2
    assert re.match(r"gradskew: '.*report\.html': Is a directory", errors[0])
    assert "ZeroDivisionError" in errors[1]
    assert "Test accuracy" in outcome.out
    assert "results.csv" not in outcome.out


def test_nothing_is_written_where_every_run_fails(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "simulate", None)
    outcome = tiny()
    assert "(and 1 more run)" in outcome.late_error()
    assert outcome.out == ""
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["runs"]


@pytest.mark.parametrize("arguments", [["nosuch"], ["--nosuch"], ["list", "extra"], ["bench", "a", "b"]])
def test_wrong_commands(call, arguments):
    call(*arguments).error()


def test_help_version_and_list(call):
    for arguments in ([], ["--help"], ["-h"]):
        outcome = call(*arguments)
        assert outcome.code == 0
        assert "bench" in outcome.out + outcome.err
    assert call("bench", "--help").code == call("--version").code == 0
    listed = call("list").out
    for name in ("strike", "multikrum", "bucketing", "nnm", "fashion_mnist", "dirichlet", "mlp", "strike-authors"):
        assert f"  {name} " in listed


def test_the_list_has_words_and_one_column_of_names(call):
    """Names of up to 26 characters; the default of an option that is a rule is that rule's name."""
    sections = re.split(r"^(?=\S)", call("list").out, flags=re.MULTILINE)[1:]
    by_head = {section.splitlines()[0]: section.splitlines()[1:] for section in sections}
    assert [*by_head][:3] == ["attacks", "rules", "mixings"]
    for lines in by_head.values():
        width = max(len(line.split()[0]) for line in lines)
        assert all(line[:2] == "  " and line[2 + width] == " " and line[3 + width] != " " for line in lines)
    named = {line.split()[0]: line for lines in by_head.values() for line in lines}
    assert "[base=multikrum," in named["gas"]
    assert "[rule=multikrum]" in named["keep"]
    assert "MISSING" not in "".join(sections)
    assert named["foe"].split() == ["foe", "ipm"]


def test_list_into_a_closed_pipe():
    command = f"'{sys.executable}' -c 'from gradskew.cli import main; main()' list | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def start(out, *arguments, **environment):
    """A bench in a process group of its own."""
    return subprocess.Popen(
        [*COMMAND, "bench", *TINY.split(), "--out", str(out), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
    )


def group(leader):
    """The live processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.processes
def test_the_environment_changes_no_byte_and_two_calls_at_once_end_well(tiny, tmp_path):
    tiny("--aggregators", "mean,rfa", "--out", tmp_path / "here")
    both = [
        start(tmp_path / "there", "--aggregators", "mean,rfa", OMP_NUM_THREADS=threads, PYTHONHASHSEED=threads)
        for threads in ("1", "2")
    ]
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert "Traceback" not in err
        assert "lie" in out
    assert records(tmp_path / "there") == records(tmp_path / "here")
    for name in ("results.csv", "table.md", "table.tex"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
    belongs = {"record.json", "timing.json", "pictures.json", "results.csv", "table.md", "table.tex", "heatmap.png"}
    belongs |= {"report.html", "lock", "heatmap.pdf", "citations.bib"}
    assert {path.name for path in (tmp_path / "there").rglob("*") if path.is_file()} == belongs


LONG = ["--rounds", "30", "--seeds", "200", "--workers", "2"]


@pytest.mark.processes
def test_ctrl_c_keeps_finished_runs_and_says_how_to_go_on(tmp_path):
    process = start(tmp_path, *LONG)
    try:
        until(lambda: len(records(tmp_path)) >= 2)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "the same command resumes from there" in err.splitlines()[-1]
        until(lambda: not group(process.pid))
    finally:
        process.kill()
    kept = records(tmp_path)
    assert 2 <= len(kept) < 400


@pytest.mark.processes
def test_ctrl_c_while_workers_start_shows_no_traceback(tmp_path):
    process = start(tmp_path, *LONG)
    try:
        until(lambda: len(group(process.pid)) >= 3)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "the same command resumes from there" in err.splitlines()[-1]
        until(lambda: not group(process.pid))
    finally:
        process.kill()


@pytest.mark.processes
def test_workers_end_when_the_parent_is_killed(tmp_path):
    process = start(tmp_path, *LONG)
    until(lambda: records(tmp_path))
    assert len(group(process.pid)) >= 3
    process.kill()
    process.communicate(timeout=300)
    until(lambda: not group(process.pid))


HANGS = """
import collections, itertools, os
from pathlib import Path
def rule(rows):
    Path("began").write_text(str(os.getpid()))
    collections.deque(itertools.repeat(0), maxlen=0)  # in compiled code
"""


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_audit_that_is_stopped_leaves_no_process(number, tmp_path):
    (tmp_path / "hangs.py").write_text(HANGS)
    audit = [*COMMAND, "audit", "--rule", "hangs:rule", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        audit, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        until(lambda: (tmp_path / "began").exists() and (tmp_path / "began").read_text())
        process.send_signal(number)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 130
        assert err == "Stopped.\n"
        until(lambda: not group(process.pid))
    finally:
        process.kill()


SMALL_DISK = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


@pytest.mark.processes
def test_on_a_real_disk_that_is_full_one_line_says_so_and_nothing_is_lost(tmp_path):
    """A disk of 40 KB in memory, with room for a few of six records."""
    tmp_path.joinpath("disk").mkdir()
    mounted = "mount -t tmpfs -o size=40k tmpfs disk"
    if subprocess.run([*SMALL_DISK, mounted], cwd=tmp_path, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("needs to mount a disk of its own")
    bench = [*COMMAND, "bench", *TINY.split(), "--seeds", "3", "--out"]
    script = f"{mounted} && {shlex.join([*bench, 'disk'])}; echo $? > status; cp -r disk kept"
    played = subprocess.run([*SMALL_DISK, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (tmp_path / "status").read_text() == "2\n"
    line = played.stderr.splitlines()[-1]
    assert "No space left on device" in line
    assert line.endswith("make room: the same command goes on from the stored runs")
    assert "Traceback" not in played.stderr
    assert "report.html" in played.stderr.splitlines()[-2]
    assert "Test accuracy" in played.stdout
    kept = {path.parent.name: path.read_bytes() for path in tmp_path.glob("kept/runs/*/record.json")}
    assert kept
    assert [path.name for path in tmp_path.glob("kept/runs/*/.*")] == []
    subprocess.run([*bench, "kept"], cwd=tmp_path, capture_output=True, check=True)
    whole = {path.parent.name: path.read_bytes() for path in tmp_path.glob("kept/runs/*/record.json")}
    assert len(whole) == 6
    assert kept.items() <= whole.items()


def test_every_option_of_bench_is_a_setting_or_an_execution_option():
    from gradskew.cli import cli

    names = {option.name for option in cli.commands["bench"].params} - {
        "config",
        "workers",
        "address",
        "shard",
        "log",
        "dry_run",
        "out",
        "data",
        "download",
    }
    assert names == set(settings.COMMON) | {"partition", "beta", "min_samples"}


@pytest.mark.processes
def test_a_run_goes_on_where_nobody_reads_its_progress_any_more(tmp_path):
    code = "from gradskew import cli; from gradskew.report import terminal; terminal.ProgressLine.EVERY = 0; cli.main()"
    command = [sys.executable, "-c", code, "bench", *TINY.split(), "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        process.stderr.close()
    assert process.returncode == 0
    assert len(list(tmp_path.glob("runs/*/record.json"))) == 2


@pytest.mark.processes
def test_the_package_is_a_command_too():
    said = subprocess.run([sys.executable, "-m", "gradskew", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("gradskew, version ")
