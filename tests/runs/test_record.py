"""Records: bit for bit, whole or not at all, and what happens to damaged ones."""

import errno
import hashlib
import importlib
import json
import os
import pickle
import re
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from gradskew import SGD, Record, Run, Store, aggregators, attacks, simulate
from gradskew.aggregators import NNM, CClip, Mean, Mixed
from gradskew.attacks import STRIKE
from gradskew.core.errors import InputError
from gradskew.core.files import write
from gradskew.core.names import canonical
from gradskew.data.partition import IID, Dirichlet
from gradskew.models import CNN, MLP, Linear
from gradskew.runs import record as records

RUN = Run(
    model=Linear(),
    attack=attacks.make("lie"),
    aggregator=aggregators.make("nnm+median"),
    clients=6,
    byzantine=1,
    rounds=2,
    sgd=SGD(epochs=1, batch=64, lr=0.1),
)


@pytest.fixture(scope="module")
def result():
    return simulate(RUN)


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    made.prepare()
    return made


def path_of(store, name="record.json"):
    return store.runs / RUN.digest / name


def left_over(store):
    """Files other than the three that belong there."""
    belong = ("record.json", "timing.json", "pictures.json", RUN.digest)
    return sorted(path.name for path in store.runs.rglob("*") if path.name not in belong)


def test_a_record_comes_back_bit_for_bit(store, result):
    assert store.load(RUN.digest) is None
    saved = store.save(result, 1.5)
    assert store.load(RUN.digest) == saved == Record.of(result)
    text = path_of(store).read_text()
    assert Record.from_json(text).to_json() == text
    assert saved.spec == json.loads(canonical(RUN.content))
    assert saved.rounds == result.rounds
    assert list(store.all()) == [saved]
    assert left_over(store) == []


def test_the_same_spec_gives_the_same_bytes(tmp_path, result):
    texts = []
    for folder, seconds, outcome in (("a", 1.0, result), ("b", 99.0, simulate(RUN))):
        store = Store(tmp_path / folder)
        store.save(outcome, seconds)
        texts.append(path_of(store).read_bytes())
    assert texts[0] == texts[1]


def test_timing_stands_apart(store, result):
    store.save(result, 4.0)
    timing = json.loads(path_of(store, "timing.json").read_text())
    assert (timing["seconds"], timing["rounds_per_second"]) == (4.0, 0.5)
    assert "seconds" not in path_of(store).read_text()
    assert not {"seconds", "finished", "out", "workers", "folder", "data"} & set(RUN.content)


def test_accuracy_is_the_mean_of_the_last_fifth_of_the_rounds_five_at_most():
    def record(*accuracies):
        return Record({}, [{"accuracy": accuracy, "share": None} for accuracy in accuracies], "")

    long = record(90.0, 0.0, 10.0, 20.0, 30.0, 40.0)
    assert (long.accuracy, long.best_accuracy) == (35.0, 90.0)  # the last 2 of 6
    assert record(10.0, 40.0).accuracy == 40.0
    assert record(*map(float, range(60))).accuracy == 57.0  # 55 to 59
    rare = record(*[None] * 9, 50.0, *[None] * 7, 60.0, 70.0, 80.0)  # 20 rounds, tests in 4 of them: the last 4 count
    assert rare.accuracy == 65.0
    assert long.average("accuracy") == pytest.approx(190 / 6)
    assert long.average("share") is None


def test_a_record_says_on_how_many_images_it_was_tested(store, result, capsys):
    """Records of earlier versions do not: they stay readable, and agree with later ones of the same bits."""
    saved = store.save(result, 1.5)
    assert (saved.test_size, store.load(RUN.digest).test_size) == (360, 360)
    assert (len(saved.test_counts), sum(saved.test_counts)) == (10, 360)
    assert saved.largest_class == pytest.approx(100 * max(saved.test_counts) / 360)
    older = replace(saved, test_size=None, test_counts=None)
    assert "test_" not in older.to_json()
    assert older.largest_class is None
    assert Record.from_json(older.to_json()) == older
    assert older.agrees(saved)
    assert not older.agrees(replace(saved, params_sha256="0" * 64))
    path_of(store).write_text(older.to_json())
    assert store.save(result, 1.5) == older
    assert capsys.readouterr().err == ""
    for wrong in (0, -1, 2.5, "360"):
        with pytest.raises(ValueError, match="test_size"):
            Record.from_json(replace(saved, test_size=wrong).to_json())
    for wrong in ([360], [*saved.test_counts, 0], [180, 180], "no", [-1, 361]):
        with pytest.raises(ValueError, match=r"test_counts|test counts|number of classes"):
            Record.from_json(replace(saved, test_counts=wrong).to_json())


def flip(text):
    """One bit of the parameters' hash: the JSON stays sound."""
    at = text.index('"params_sha256":"') + len('"params_sha256":"')
    return text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]


def resealed(change):
    """A record whose checksum is right, but that is not this run's."""

    def damage(text):
        body = json.loads(text)
        return change(Record(body["spec"], body["rounds"], body["params_sha256"])).to_json()

    return damage


DAMAGES = {
    "empty": lambda text: "",
    "truncated": lambda text: text[: len(text) // 2],
    "bit": flip,
    "foreign": resealed(lambda record: replace(record, spec={**record.spec, "seed": 5})),
    "no record": lambda text: "[]",
    "null": lambda text: "null",
    "number": lambda text: "1",
    "other object": lambda text: "{}",
    "without checksum": lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "sha256"}),
    "other checksum": lambda text: text.replace('"sha256":"', '"sha256":"0'),
    "deep": lambda text: "[" * 100_000,
    "long number": lambda text: "9" * 10_000,
    "not a number": lambda text: text.replace('"accuracy":', '"accuracy":NaN,"x":', 1),
    "not ascii": lambda text: text + "\u00e9",
    "null bytes": lambda text: "\0" * 4096,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_set_aside_and_computed_again(store, result, capsys, damage):
    saved = store.save(result, 1.0)
    damaged = damage(path_of(store).read_text())
    path_of(store).write_text(damaged, encoding="utf-8")
    assert store.load(RUN.digest) is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"gradskew: set aside a damaged record, {path_of(store)}")
    assert path_of(store, "record.damaged").read_text(encoding="utf-8") == damaged
    assert store.load(RUN.digest) is None
    assert capsys.readouterr().err == ""
    assert list(store.all()) == []
    assert store.save(result, 1.0) == saved == store.load(RUN.digest)


def test_rounds_that_were_read_are_those_that_were_written(store, result):
    saved, loaded = store.save(result, 1.0), store.load(RUN.digest)
    assert type(saved.rounds) is list
    assert loaded.rounds == saved.rounds == loaded.rounds
    assert loaded.rounds != saved.rounds[:-1]
    assert loaded.rounds != len(saved.rounds)
    assert [loaded.rounds[0], *loaded.rounds[1:]] == saved.rounds
    assert pickle.loads(pickle.dumps(loaded)) == loaded == saved


def test_reading_a_record_imports_no_training_code(store, result):
    store.save(result, 1.0)
    code = (
        "import sys; from gradskew.runs.record import Record\n"
        f"assert Record.from_json(open({str(path_of(store))!r}).read()).digest == {RUN.digest!r}\n"
        "print({'torch', 'gradskew.federation.rounds', 'gradskew.aggregators'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_what_a_record_lists_may_be_changed_and_it_stays(store, result):
    record = store.save(result, 1.0)
    before = record.accuracy
    record.accuracies.clear()
    assert record.accuracy == before


@pytest.mark.parametrize("place", ["rule", "attack", "lens", "other"])
def test_a_record_that_is_too_deep_to_be_read_again_is_no_record(store, result, capsys, place):
    """JSON is parsed as deep as the stack has room, which differs from call to call."""
    body = json.loads(store.save(result, 1.0).to_json())
    deep = 0
    for _ in range(300):
        deep = [deep]
    metrics = body["rounds"][0]
    if place == "other":
        metrics["other"] = deep
    else:
        metrics[place]["deep"] = deep
    keys = ("spec", "rounds", "params_sha256", "class_counts")
    path_of(store).write_text(Record(*(body[key] for key in keys)).to_json())
    assert store.load(RUN.digest) is None
    assert f"round 0 has a {'deep' if place == 'lens' else place!r} that cannot be" in capsys.readouterr().err


def test_what_is_said_of_the_data_is_in_the_record(store, result):
    plain = store.save(result, 1.0)
    assert '"data":' not in plain.to_json()  # of a built-in data set
    said = replace(plain, data=("12 rows are left out", "classes no 60.0 %, yes 40.0 %"))
    assert Record.from_json(said.to_json()) == said
    assert said.agrees(plain)
    for wrong in ("text", [3], ["two\nlines"]):
        with pytest.raises(ValueError, match="data"):
            Record.from_json(_with(plain, wrong))


def _with(record, value):
    """Return the text of a record that says something else of the data, under a checksum that fits."""
    body = json.loads(record.to_json())
    del body["sha256"]
    body["data"] = value
    body["sha256"] = hashlib.sha256(canonical(body).encode()).hexdigest()
    return json.dumps(body)


def test_what_else_stands_in_a_record_is_under_its_checksum(store, result):
    body = json.loads(store.save(result, 1.0).to_json())
    with pytest.raises(ValueError, match="checksum does not match"):
        Record.from_json(json.dumps({**body, "junk": "x"}))


def test_a_record_is_flushed_before_it_has_its_name_and_its_folders_after(store, result, monkeypatch):
    """As files, and then the folders that hold their names: what a power cut takes is not the record alone."""
    synced, sync = [], os.fsync

    def note(handle):
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        synced.append((path, path_of(store).exists()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    store.save(result, 1.0)
    folder = path_of(store).parent
    places = [path for path, _ in synced]
    assert (store.runs, False) in synced
    assert synced[-1] == (folder, True)
    temporary, there = synced[-2]
    assert temporary.name.startswith(".record.json.")
    assert not there
    assert places.index(store.runs) < len(places) - 2


def test_a_huge_file_is_not_read(store, result, capsys, monkeypatch):
    store.save(result, 1.0)
    with path_of(store).open("r+b") as file:
        file.truncate(1 << 40)  # sparse: reading it would take a terabyte
    assert store.load(RUN.digest) is None
    assert "too large" in capsys.readouterr().err


def test_two_processes_may_set_the_same_record_aside(store, result, monkeypatch):
    store.save(result, 1.0)
    path_of(store).write_text("x")
    read = type(path_of(store)).read_text

    def gone(path, **options):
        text = read(path, **options)
        path.unlink()
        return text

    monkeypatch.setattr(type(path_of(store)), "read_text", gone)
    assert store.load(RUN.digest) is None


def test_nothing_is_unpickled():
    package = Path(records.__file__).parents[1]
    text = "".join(
        (package / name).read_text() for name in ("runs/record.py", "runs/store.py", "federation/snapshot.py")
    )
    assert not any(re.search(word, text) for word in ("pickle", r"(?<!safetensors\.)torch\.load", r"eval\(", r"exec\("))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
def test_a_full_disk_or_a_crash_leaves_the_old_file(tmp_path, monkeypatch, error):
    path = tmp_path / "file"
    write(path, "old")

    def fail(handle):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_leaves_no_record(store, result, monkeypatch):
    def fail(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match=r"No space left on device: '.*timing\.json'"):
            store.save(result, 1.0)
    assert store.load(RUN.digest) is None
    assert left_over(store) == []
    assert store.save(result, 1.0) == store.load(RUN.digest)


def test_readers_see_the_old_or_the_new(tmp_path):
    path, texts = tmp_path / "file", ["a" * 300_000, "b" * 300_000]
    write(path, texts[0])

    def replace_often():
        for turn in range(60):
            write(path, texts[turn % 2])

    writers = [threading.Thread(target=replace_often) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in texts
    assert os.listdir(tmp_path) == ["file"]


def test_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_an_unwritable_folder_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"cannot write to .*; --out names another folder"):
            Store(folder).prepare()


def test_prepare_leaves_nothing_and_may_be_repeated(store):
    store.prepare()
    assert list(store.runs.iterdir()) == []


def test_strangers_in_the_folder_do_not_matter(store, result):
    saved = store.save(result, 1.0)
    (store.runs / "notes.txt").write_text("mine")
    (store.runs / "empty").mkdir()
    assert list(store.all()) == [saved]


CHANGES = {
    "partition": [IID(), Dirichlet(beta=0.6, min_samples=2), Dirichlet(min_samples=3)],
    "model": [CNN(), CNN(width=8)],
    "attack": [attacks.make(name) for name in ("none", "lie(z=1.4)", "lie(sign=-1)", "strike", "strike(nu=0.9)")],
    "aggregator": [aggregators.make(name) for name in ("median", "nnm+mean", "nnm(itself=False)+median")],
    "clients": [7],
    "sampled": [5],
    "byzantine": [2, 0],
    "rounds": [3],
    "sgd": [
        replace(RUN.sgd, **change)
        for change in (
            {"epochs": 2},
            {"batch": 63},
            {"lr": 0.11},
            {"momentum": 0.5},
            {"weight_decay": 0.0},
            {"clip": 1.0},
        )
    ],
    "knowledge": [0.5],
    "redraw_knowledge": [True],
    "known": ["own"],
    "attack_rounds": ["1:", "::2"],
    "told": ["expected"],
    "loss": ["squared"],
    "validation": [0.2],
    "buffers": ["aggregated"],
    "seed": [1, 2**32],
    "engine": ["loop"],
    "threads": [2],
    "precision": ["bf16"],
    "evaluate_every": [3],
    "lens": [False],
    "pictures": [(), (1,)],
    "root_examples": [3],
    "votes": [True],
    "probe": [True],
}


def test_every_setting_has_a_part_in_the_digest():
    missing = {field.name for field in fields(Run)} - set(CHANGES)
    assert missing == {
        "source",
        "device",
        "server",
        "local",
        "rows",
        "worker_momentum",
        "worker_momentum_start",
    }  # test_sweeps, test_reproducible; a device: only where there is one
    runs = [RUN, *[replace(RUN, **{key: value}) for key, values in CHANGES.items() for value in values]]
    assert len({run.digest for run in runs}) == len(runs)


def test_what_says_the_same_has_one_digest():
    same = [
        replace(RUN, sampled=6),
        replace(RUN, byzantine=0.1),  # of 6, rounded up: 1
        replace(RUN, knowledge=1),
        replace(RUN, engine="batched"),
        replace(RUN, pictures=(RUN.rounds - 1, 0, RUN.rounds // 2, 0)),
    ]
    assert {run.digest for run in same} == {RUN.digest}


@pytest.mark.parametrize(
    ("key", "ways"),
    [
        ("attack", [STRIKE(nu=1), STRIKE(nu=1.0), STRIKE(), attacks.make("strike")]),
        ("aggregator", [CClip(tau=10), CClip(tau=10.0), CClip(), aggregators.make("cclip(tau=10)")]),
        ("aggregator", [Mixed(mixing=NNM(), rule=CClip(tau=10)), aggregators.make("nnm+cclip")]),
        ("partition", [Dirichlet(beta=1, min_samples=2), Dirichlet(beta=1.0, min_samples=2)]),
        ("model", [MLP(hidden=32), MLP(hidden=(32,))]),
        ("sgd", [SGD(epochs=1, batch=64, lr=1, clip=2), SGD(epochs=1, batch=64, lr=1.0, clip=2.0)]),
    ],
)
def test_one_value_written_in_several_ways_has_one_digest(key, ways):
    assert len({replace(RUN, **{key: way}).digest for way in ways}) == 1


class Plain(Mean):
    """Not a dataclass: what its own `__init__` takes is no field."""

    key: ClassVar[str] = "plain"

    def __init__(self, strength):
        object.__setattr__(self, "strength", strength)


@dataclass(frozen=True, kw_only=True)
class Holds(Mean):
    key: ClassVar[str] = "holds"
    value: Any = None


@pytest.mark.parametrize("rule", [Plain(1), Mixed(mixing=NNM(), rule=Plain(1))], ids=["alone", "behind a mixing"])
def test_a_rule_with_an_init_of_its_own_is_refused(rule):
    with pytest.raises(InputError, match=r"^Plain must leave __init__ to dataclass: its fields are") as caught:
        _ = replace(RUN, aggregator=rule).digest
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [torch.zeros(3), {"a": 1}, [1, 2], ((1,),), {1}, torch.float32], ids=str)
def test_a_field_that_is_no_number_or_text_is_refused(value):
    with pytest.raises(InputError, match=r"^Holds\.value must be a number, a string or a tuple of them") as caught:
        _ = replace(RUN, aggregator=Holds(value=value)).digest
    assert "\n" not in str(caught.value)


def test_every_value_of_a_field_has_its_own_digest():
    values = [None, True, 0, 1, 0.5, "1", (), (1,), (1, 2), ("1",)]
    assert len({replace(RUN, aggregator=Holds(value=value)).digest for value in values}) == len(values)


def test_the_files_of_a_class_and_of_its_bases_are_part_of_the_digest(tmp_path, monkeypatch):
    """A user's rule in one file on a base class in another: a change in either is another run."""
    files = {"digest_base": "from gradskew.aggregators import Mean\n\nclass Base(Mean):\n    pass\n"}
    files["digest_rule"] = "from digest_base import Base\n\nclass Rule(Base):\n    key = 'mine'\n"
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    rule = importlib.import_module("digest_rule").Rule()
    first = replace(RUN, aggregator=rule)
    assert set(first.content["user_code"]) == {"digest_rule.Rule", "digest_base.Base"}
    digests = {first.digest, RUN.digest}
    for name in files:
        with (tmp_path / f"{name}.py").open("a") as file:
            file.write("# changed\n")
        for module in files:
            importlib.reload(sys.modules[module])
        rule = sys.modules["digest_rule"].Rule()
        digests.add(replace(RUN, aggregator=rule).digest)
        digests.add(replace(RUN, aggregator=Mixed(mixing=NNM(), rule=rule)).digest)
    assert len(digests) == 6
    for name in files:
        monkeypatch.delitem(sys.modules, name)


def test_the_digest_names_the_folder(store, result):
    record = store.save(result, 1.0)
    assert [path.name for path in store.runs.iterdir()] == [RUN.digest] == [record.digest]
    assert len(RUN.digest) == 64
