"""Runs that are stopped and go on: from any round, after any signal, to the same bits."""

import errno
import json
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import BASE, RUNS

from gradskew import InputError, Record, simulate, sweep
from gradskew.federation import snapshot as checkpoints
from gradskew.federation.server import ServerOptimizer
from gradskew.federation.snapshot import Snapshot, Unfit
from gradskew.runs import execution
from gradskew.runs.store import CHECKPOINT, Store


@pytest.mark.parametrize("name", RUNS)
def test_a_run_goes_on_from_every_round_to_the_same_bits(name: str) -> None:
    run, kept = RUNS[name], []
    whole = simulate(run, on_snapshot=lambda snapshot: kept.append(snapshot.to_bytes(run.digest)))
    assert len(kept) == run.rounds
    for data in kept:
        seen = []
        start = Snapshot.from_bytes(data, run.digest)
        again = simulate(run, start=start, on_round=lambda metrics, seen=seen: seen.append(1))
        assert len(seen) == run.rounds  # those before count at once
        assert Record.of(again).to_json() == Record.of(whole).to_json()
        assert [picture.to_json() for picture in again.pictures] == [picture.to_json() for picture in whole.pictures]


@pytest.mark.parametrize("name", ["worker momentum", "scaffold", "fedyogi and fedprox"])
def test_later_rounds_change_no_snapshot(name: str) -> None:
    run, kept = RUNS[name], []
    simulate(run, on_snapshot=lambda snapshot: kept.append((snapshot, snapshot.to_bytes(run.digest))))
    for snapshot, data in kept:
        then, now = (safetensors.torch.load(each) for each in (data, snapshot.to_bytes(run.digest)))
        assert then.keys() == now.keys()
        assert all(torch.equal(now[name], then[name]) for name in then)


def snapshot() -> Snapshot:
    state = {"round": 3, "mu": torch.tensor([0.1, -7.0], dtype=torch.float64), "name": "x", "on": True, "none": None}
    return Snapshot([{"round": 0, "accuracy": 1 / 3}], torch.tensor([1.5]), torch.empty(0), [torch.tensor(7)], state)


def test_a_snapshot_comes_back_exactly() -> None:
    back = Snapshot.from_bytes(snapshot().to_bytes("abc"), "abc")
    assert (back.rounds, back.rule, back.pictures) == ([{"round": 0, "accuracy": 1 / 3}], {}, [])
    assert torch.equal(back.attack["mu"], snapshot().attack["mu"])
    assert back.attack["mu"].dtype == torch.float64
    assert {k: v for k, v in back.attack.items() if k != "mu"} == {"round": 3, "name": "x", "on": True, "none": None}
    assert (back.buffers.shape, back.others[0].item(), back.others[0].dtype) == ((0,), 7, torch.int64)


def test_what_is_not_a_checkpoint_of_this_run_is_refused() -> None:
    data = snapshot().to_bytes("abc")
    with pytest.raises(ValueError, match="another run"):
        Snapshot.from_bytes(data, "abd")
    with pytest.raises(ValueError, match="state of the rule has 'x' of type list"):
        replace(snapshot(), rule={"x": [1]}).to_bytes("abc")
    for wrong in (b"", b"x" * 100, data[:-1], safetensors.torch.save({"params": torch.zeros(1)})):
        with pytest.raises(ValueError, match=r"not a checkpoint|checksum"):
            Snapshot.from_bytes(wrong, "abc")
    old = data.replace(b'"version":"2"', b'"version":"1"')
    with pytest.raises(ValueError, match="version 1"):
        Snapshot.from_bytes(old, "abc")


@given(place=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_every_flipped_bit_is_noticed_or_harmless(place: int, bit: int) -> None:
    """A flip in the header's own padding or in the order of its keys changes nothing; any other is an error."""
    data = bytearray(snapshot().to_bytes("abc"))
    data[place % len(data)] ^= 1 << bit
    try:
        back = Snapshot.from_bytes(bytes(data), "abc")
    except ValueError:
        return
    assert back.to_bytes("abc") == snapshot().to_bytes("abc")


def test_a_failed_run_goes_on_from_its_checkpoint(tmp_path, monkeypatch) -> None:
    run = RUNS["mimic and cclip"]
    (whole,) = sweep([run], tmp_path / "whole")
    monkeypatch.setattr(execution, "INTERVAL", 0.0)
    rounds = 0

    def stop(metrics) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            raise KeyboardInterrupt

    store = Store(tmp_path / "out")
    store.prepare()
    with pytest.raises(KeyboardInterrupt):
        execution.execute(run, store, on_round=stop)
    kept = store.load_checkpoint(run.digest)
    assert len(kept.rounds) == 3
    assert kept.seconds > 0
    assert store.load(run.digest) is None
    (again,) = sweep([run], tmp_path / "out")
    assert again == whole
    assert not (store.runs / run.digest / CHECKPOINT).exists()
    assert store.timing(run.digest)["seconds"] > kept.seconds


def test_a_damaged_checkpoint_is_set_aside(tmp_path, capsys) -> None:
    store = Store(tmp_path)
    store.save_checkpoint(BASE.digest, snapshot())
    path = store.runs / BASE.digest / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-3])
    (record,) = sweep([BASE], tmp_path)
    assert record.to_json() == Record.of(simulate(BASE)).to_json()
    assert "set aside a damaged checkpoint" in capsys.readouterr().err
    assert path.with_suffix(".damaged").exists()


def broken(change) -> Snapshot:
    """A checkpoint after two rounds of the run with mimic and cclip, changed; its checksum will be right."""
    kept: list[Snapshot] = []
    simulate(RUNS["mimic and cclip"], on_snapshot=kept.append)
    return replace(kept[1], **change(kept[1]))


UNFIT = {
    "one parameter, to be spread": lambda s: {"params": torch.zeros(1)},
    "too few": lambda s: {"params": s.params[:-1]},
    "float64": lambda s: {"params": s.params.double()},
    "buffers": lambda s: {"buffers": torch.zeros(2)},
    "others": lambda s: {"others": [torch.zeros(2)]},
    "a direction of another length": lambda s: {"attack": {**s.attack, "z": torch.zeros(2)}},
    "half of what is learned": lambda s: {"attack": {"z": s.attack["z"]}},
    "a round that is no number": lambda s: {"attack": {**s.attack, "round": "3"}},
    "NaN in the mean": lambda s: {"attack": {**s.attack, "mu": s.attack["mu"] * torch.nan}},
    "a centre of another length": lambda s: {"rule": {"centre": torch.zeros(1)}},
    "what cclip does not know": lambda s: {"rule": {**s.rule, "x": 1}},
    "what plain averaging does not know": lambda s: {"server": {"x": 1}},
    "controls that plain training has not": lambda s: {"local": {"1": torch.zeros_like(s.params)}},
    "momenta that nobody has": lambda s: {"momentum": {"1": torch.zeros_like(s.params)}},
    "rounds that are none": lambda s: {"rounds": [{"round": 0}]},
    "too many rounds": lambda s: {"rounds": [*s.rounds * 5]},
    "an accuracy of 101 %": lambda s: {"rounds": [{**s.rounds[0], "accuracy": 101.0}]},
    "pictures of later rounds": lambda s: {"pictures": [replace(s.pictures[0], round=4)]},
}


REMEMBERED = {
    "no client": lambda s: {"x": torch.zeros_like(s["1"])},
    "another length": lambda s: {"1": torch.zeros(1)},
    "a number": lambda s: {"1": 3},
    "not finite": lambda s: {"1": s["1"] * torch.nan},
}


@pytest.mark.parametrize("name", REMEMBERED)
@pytest.mark.parametrize(("of", "owner"), [("worker momentum", "momentum"), ("scaffold", "local")])
def test_what_clients_cannot_remember_is_unfit(of: str, owner: str, name: str) -> None:
    kept: list[Snapshot] = []
    simulate(replace(RUNS[of], sampled=None), on_snapshot=kept.append)
    state = getattr(kept[1], owner)
    with pytest.raises(Unfit, match=r"it has a state that .* cannot have"):
        simulate(replace(RUNS[of], sampled=None), start=replace(kept[1], **{owner: state | REMEMBERED[name](state)}))


@pytest.mark.parametrize("name", UNFIT)
def test_a_checkpoint_of_another_shape_is_set_aside(name: str, tmp_path, capsys) -> None:
    """Its checksum is right, and it says that it is this run's: the run starts anew, and each round counts once."""
    run, store, rounds = RUNS["mimic and cclip"], Store(tmp_path), []
    store.save_checkpoint(run.digest, broken(UNFIT[name]))
    assert execution.execute(run, store, on_round=rounds.append)
    assert len(rounds) == run.rounds
    assert store.load(run.digest).to_json() == Record.of(simulate(run)).to_json()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "set aside a damaged checkpoint" in said[0]
    assert (store.runs / run.digest / CHECKPOINT).with_suffix(".damaged").exists()


def resealed(change) -> bytes:
    """A checkpoint whose JSON was changed as a text, with a right checksum."""
    data = snapshot().to_bytes("abc")
    tensors = safetensors.torch.load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    text = change(bytes(tensors["content"].numpy()).decode())
    tensors["content"] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    header["sha256"] = checkpoints._checksum(tensors)
    return safetensors.torch.save(tensors, header)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"seconds":0.0', '"seconds":NaN'),
        lambda text: text.replace('"seconds":0.0', '"seconds":-1'),
        lambda text: text.replace('"seconds":0.0', '"seconds":"x"'),
        lambda text: text.replace('"rule":{}', '"rule":{"x":[1]}'),
        lambda text: text.replace('"rule":{}', '"rule":[]'),
        lambda text: text + " ",
        lambda text: "[" * 100_000,
    ],
    ids=["nan", "negative", "text", "a list", "no object", "a space", "deep"],
)
def test_content_that_no_run_writes_is_refused(change) -> None:
    assert Snapshot.from_bytes(resealed(lambda text: text), "abc").seconds == 0
    with pytest.raises(ValueError, match=r"checkpoint|content|state|JSON"):
        Snapshot.from_bytes(resealed(change), "abc")


def test_hostile_metrics_of_a_checkpoint_are_refused_or_become_those_of_a_record() -> None:
    """A whole number where a run writes a float is read as one; half of a surrogate pair is no text."""
    run, kept = next(iter(RUNS.values())), []
    simulate(run, on_snapshot=kept.append)
    start = kept[0]
    odd = replace(start, rounds=[{**start.rounds[0], "distance": 2**63}])
    record = Record.of(simulate(run, start=odd))
    assert Record.from_json(record.to_json()).to_json() == record.to_json()
    broken = replace(start, rounds=[{**start.rounds[0], "\ud800": 1}])
    with pytest.raises(Unfit, match="surrogates"):
        simulate(run, start=broken)


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_run(tmp_path, monkeypatch, capsys) -> None:
    def full(self, digest, snapshot):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(execution, "INTERVAL", 0.0)
    monkeypatch.setattr(Store, "save_checkpoint", full)
    (record,) = sweep([BASE], tmp_path)
    assert record.to_json() == Record.of(simulate(BASE)).to_json()
    assert "No space left" in capsys.readouterr().err


def test_a_state_that_safetensors_does_not_know_ends_no_run(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(execution, "INTERVAL", 0.0)
    monkeypatch.setattr(Snapshot, "to_bytes", lambda snapshot, digest: {}[torch.complex128])
    (record,) = sweep([BASE], tmp_path)
    assert record.to_json() == Record.of(simulate(BASE)).to_json()
    said = set(capsys.readouterr().err.splitlines())
    assert said == {f"gradskew: no checkpoint of {BASE.digest[:12]}: KeyError: torch.complex128"}


def test_ctrl_c_ends_a_run_that_cannot_be_kept(tmp_path, monkeypatch) -> None:
    def stop(progress) -> None:
        if progress.rounds_done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Snapshot, "to_bytes", lambda snapshot, digest: {}[torch.complex128])
    with pytest.raises(KeyboardInterrupt):
        sweep([replace(BASE, seed=seed) for seed in range(2)], tmp_path, on_progress=stop)
    assert list(tmp_path.rglob(CHECKPOINT)) == []


def test_the_checkpoint_of_a_stored_run_is_dropped(tmp_path) -> None:
    sweep([BASE], tmp_path)
    store = Store(tmp_path)
    store.save_checkpoint(BASE.digest, snapshot())
    sweep([BASE], tmp_path)
    assert not (store.runs / BASE.digest / CHECKPOINT).exists()


def test_a_checkpoint_holds_no_pickle() -> None:
    content = safetensors.torch.load(snapshot().to_bytes("abc"))["content"]
    assert json.loads(bytes(content.numpy()))["digest"] == "abc"


def test_a_long_run_has_checkpoints_too() -> None:
    """The header of a safetensors file has room for 100 MB."""
    rounds = [{"round": 0, "accuracy": 0.5, "note": "x" * (101 << 20)}]
    back = Snapshot.from_bytes(replace(snapshot(), rounds=rounds).to_bytes("abc"), "abc")
    assert back.rounds == rounds


def test_checkpoints_that_take_long_are_rare(tmp_path, monkeypatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(execution.time, "perf_counter", lambda: clock[0])
    written = []

    def slow(self, digest, snapshot) -> None:
        written.append(clock[0])
        clock[0] += 2.0

    monkeypatch.setattr(Store, "save_checkpoint", slow)
    checkpointer = execution.Checkpointer(Store(tmp_path), "a" * 64)
    while clock[0] < 300:
        checkpointer(snapshot())
        clock[0] += 1.0
    assert written == [30.0, 130.0, 230.0]  # two seconds in each hundred


def test_a_run_that_is_stopped_while_it_is_stored_leaves_a_checkpoint(tmp_path, monkeypatch) -> None:
    def stop(self, result, seconds):
        raise KeyboardInterrupt

    store = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            execution.execute(BASE, store, on_round=lambda metrics: None)
    assert len(store.load_checkpoint(BASE.digest).rounds) == BASE.rounds
    (record,) = sweep([BASE], tmp_path)
    assert record.to_json() == Record.of(simulate(BASE)).to_json()


def test_a_full_disk_ends_the_sweep(tmp_path, monkeypatch) -> None:
    """The runs that are left would be played for nothing."""
    played, inner = [], execution.simulate

    def count(run, **given):
        played.append(run)
        return inner(run, **given)

    def full(self, result, seconds):
        raise OSError(errno.ENOSPC, "No space left on device", "record.json")

    monkeypatch.setattr(execution, "simulate", count)
    monkeypatch.setattr(Store, "save", full)
    with pytest.raises(InputError, match=r"No space left on device.*make room: the same command goes on"):
        sweep([replace(BASE, seed=seed) for seed in range(3)], tmp_path)
    assert len(played) == 1


def test_what_is_in_the_way_of_a_record_is_one_error(tmp_path) -> None:
    store = Store(tmp_path)
    for name in ("record.json", "record.damaged"):
        (store.runs / BASE.digest / name / "x").mkdir(parents=True)
    (record,) = sweep([BASE], tmp_path)  # set aside under another name
    assert store.load(BASE.digest) == record


@pytest.mark.parametrize("name", [".ipynb_checkpoints", CHECKPOINT, "timing.json", "pictures.json"])
def test_a_folder_that_is_in_the_way_stops_nothing(name, tmp_path) -> None:
    store = Store(tmp_path)
    (store.runs / BASE.digest / name / "x").mkdir(parents=True)
    (record,) = sweep([BASE], tmp_path)
    assert store.load(BASE.digest) == record
    assert store.timing(BASE.digest)
    (store.runs / BASE.digest / CHECKPOINT / "x").mkdir(parents=True, exist_ok=True)
    assert sweep([BASE], tmp_path) == [record]


@dataclass(frozen=True, kw_only=True)
class Heavy(ServerOptimizer):
    """Steps with the sum of all aggregates: momentum without decay."""

    key: ClassVar[str] = "heavy"

    def step(self, params: torch.Tensor, aggregate: torch.Tensor) -> None:
        self._state["sum"] = self._state.get("sum", torch.zeros_like(aggregate)) + aggregate
        params -= self._state["sum"]


def test_the_state_of_the_server_is_kept() -> None:
    run, kept = replace(BASE, server=Heavy()), []
    whole = simulate(run, on_snapshot=lambda snapshot: kept.append(snapshot.to_bytes(run.digest)))
    again = simulate(run, start=Snapshot.from_bytes(kept[1], run.digest))
    assert torch.equal(again.params, whole.params)
    assert not torch.equal(simulate(BASE).params, whole.params)
