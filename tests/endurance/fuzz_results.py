"""What the fuzzer does to a stranger's results folder: records, checkpoints, and all that may lie beside them.

A stranger's file has a right checksum and wrong content: after each change the checksum is made again.
"""

import contextlib
import csv
import functools
import hashlib
import html.parser
import io
import json
import math
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch
from mutations import changed, damaged, dumped, hostile, pick
from tiny_runs import RUNS

from gradskew import Record, aggregators, attacks, simulate
from gradskew.cli.publishing import publish, report_html
from gradskew.core.errors import InputError
from gradskew.core.names import canonical
from gradskew.federation.snapshot import Snapshot, Unfit, _checksum
from gradskew.report.export import EXTRA, LENS, latex, markdown, results_csv
from gradskew.report.table import federations
from gradskew.runs.store import Store

BASE = RUNS["mean"]
PLAYED = [
    replace(BASE, attack=attacks.make(attack), aggregator=aggregators.make(rule), seed=seed)
    for attack in ("none", "strike")
    for rule in ("multikrum", "nnm+cclip(tau=0.1)")
    for seed in (0, 1)
] + [RUNS["sampled strike"], replace(BASE, lens=False), replace(RUNS["sampled strike"], evaluate_every=3, rounds=9)]

SNAPSHOTS = ("mean", "mimic and cclip", "sampled strike")


@functools.cache
def _results():
    return [simulate(run) for run in PLAYED]


@functools.cache
def _bodies() -> list[str]:
    return [Record.of(result).to_json() for result in _results()]


def ready() -> None:
    """Play the runs that the cases change."""
    _bodies()
    for name in SNAPSHOTS:
        _kept(name)


def sealed(content) -> str:
    """The text of a record with this content and a right checksum."""
    body = {key: value for key, value in content.items() if key != "sha256"} if isinstance(content, dict) else {}
    return dumped({**body, "sha256": hashlib.sha256(dumped(body).encode()).hexdigest()}) + "\n"


def _worse(rng, text: str) -> str:
    """A record that was tampered with; a change of its spec is likelier than one of its many rounds."""
    content = json.loads(text)
    content.pop("sha256")
    part = pick(rng, ("spec", "spec", "rounds", "rounds", "lens", None))
    if part == "lens" and (content["rounds"][0].get("lens")):
        metrics = pick(rng, content["rounds"])
        metrics["lens"] = changed(rng, metrics["lens"], gentle=rng.random() < 0.6)
    elif part in ("spec", "rounds"):
        content[part] = changed(rng, content[part], gentle=rng.random() < 0.6)
    else:
        content = changed(rng, content)
    return sealed(content)


def records(rng, folder: Path) -> None:
    """One record: what is accepted comes back from its own text, and its numbers are in range."""
    text = pick(rng, _bodies())
    text = damaged(rng, text.encode()).decode("latin-1") if rng.random() < 0.2 else _worse(rng, text)
    record = Record.from_json(text)
    again = Record.from_json(record.to_json())
    assert again == record
    assert again.digest == record.digest == hashlib.sha256(canonical(record.spec).encode()).hexdigest()
    assert 0 <= record.accuracy <= 100
    assert 0 <= record.best_accuracy <= 100
    assert len(record.rounds) == record.spec["rounds"]
    for metric in ("byzantine_share", "distance"):
        value = record.average(metric)
        assert value is None or 0 <= value < math.inf


class Tags(html.parser.HTMLParser):
    """All tags and handlers of a page."""

    def __init__(self):
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.seen.update(name for name, _ in attrs if name.startswith("on"))


def _check_tables(tables, folder: Path) -> None:
    """Every number that is published is finite, and no text of the records became more than text."""
    page = report_html(tables, folder)
    tags = Tags()
    tags.feed(page)
    assert not any(name.startswith("on") for name in tags.seen)
    assert "img" not in tags.seen
    assert not re.search(r'(?:\sd|x|y|width|height)="[^"]*(?:nan|inf)', page), (
        "a chart has a coordinate that is no number"
    )
    assert "OUTSIDE" not in page
    text = results_csv(record for table in tables for record in table.records)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == sum(len(table.records) for table in tables)
    for row in rows:
        assert 0 <= float(row["accuracy"]) <= float(row["best_accuracy"]) + 1e-9 <= 100 + 1e-9
        for name in ("seed", *EXTRA[1:-1], *LENS):
            assert row[name] == "" or math.isfinite(float(row[name])), f"{name} is {row[name]}"
        for name in ("dataset", "attack", "aggregator", "partition"):
            assert not row[name].startswith(("=", "+", "-", "@"))
    for table in tables:
        assert markdown(table).encode()
        assert latex(table).count(r"\begin{tabular}") == 1


def _put(store: Store, text: str, digest: str) -> Path:
    home = store.runs / digest
    home.mkdir(parents=True, exist_ok=True)
    (home / "record.json").write_bytes(text.encode())
    return home


def _digest(text: str) -> str:
    try:
        return Record({**json.loads(text)["spec"]}, [], "").digest
    except (TypeError, ValueError, KeyError, RecursionError):
        return "0" * 64


def _sparse(path: Path, outside: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


ODD = (  # what may lie at a path in place of a file, and must be neither followed nor waited for
    lambda path, outside: path.symlink_to(outside / "record.json"),
    lambda path, outside: os.mkfifo(path),
    lambda path, outside: path.mkdir(),
    lambda path, outside: path.symlink_to("/dev/zero"),
    _sparse,
)


def _strange(rng, store: Store, outside: Path) -> None:
    """Something odd in the folder: it must neither be followed nor waited for."""
    kind, digest = int(rng.integers(8)), "ab" * 32
    home = store.runs / digest
    if kind == 0:
        home.symlink_to(outside)
    elif kind < 6:
        home.mkdir()
        path = home / pick(rng, ("record.json", "timing.json", "pictures.json", "checkpoint.safetensors"))
        ODD[kind - 1](path, outside)
    else:
        with contextlib.suppress(ValueError, OSError):
            shutil.copytree(outside, store.runs / pick(rng, ("x", "..x", "A" * 64, "0" * 63, digest + "0", "=1", "-")))


def folders(rng, folder: Path) -> None:
    """A folder through the code of `gradskew report`: what comes out is sound, the outside untouched."""
    home, outside = folder / "results", folder / "outside"
    for old in (home, outside):
        shutil.rmtree(old, ignore_errors=True)
    store = Store(home)
    foreign = json.loads(_bodies()[0])
    foreign["spec"]["dataset"] = "OUTSIDE"
    outside.mkdir()
    (outside / "record.json").write_text(sealed(foreign))
    before = sorted(path.name for path in outside.iterdir())
    chosen = [int(each) for each in rng.integers(len(PLAYED), size=int(rng.integers(1, 4)))]
    for number in dict.fromkeys(chosen):
        text = _bodies()[number]
        text = _worse(rng, text) if rng.random() < 0.7 else text
        own = _put(store, text, _digest(text))
        pictures = [picture.to_json() for picture in _results()[number].pictures]
        if rng.random() < 0.5:
            pictures = changed(rng, pictures, gentle=rng.random() < 0.5)
        (own / "pictures.json").write_text(dumped(pictures))
        timing = {"seconds": 1.5, "rounds_per_second": 2.0, "device": "cpu", "torch": "2", "finished": "x"}
        (own / "timing.json").write_text(dumped(changed(rng, timing) if rng.random() < 0.6 else timing))
    if rng.random() < 0.4:
        _strange(rng, store, outside)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        tables = federations(store.all())
        if tables:
            _check_tables(tables, home)
            if rng.random() < 0.05:
                publish(tables, home, folder / "out")
    assert before == sorted(path.name for path in outside.iterdir())
    assert len(said.getvalue().splitlines()) <= len(chosen) + 1, "more than a line a record"
    if not tables:
        raise InputError("no record is left")


@functools.cache
def _kept(name: str) -> list[bytes]:
    kept: list[bytes] = []
    simulate(RUNS[name], on_snapshot=lambda snapshot: kept.append(snapshot.to_bytes(RUNS[name].digest)))
    return [_ordered(data) for data in kept]


def _ordered(data: bytes) -> bytes:
    """The same checkpoint, its header in an order that does not differ from process to process."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]


def _resealed(rng, data: bytes) -> bytes:
    """A checkpoint with wrong content or tensors, and a right checksum."""
    tensors = safetensors.torch.load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    if rng.random() < 0.6:
        content = json.loads(bytes(tensors["content"].numpy()))
        part = pick(rng, (None, "rounds", "pictures", "attack", "rule"))
        if part is None:
            content = changed(rng, content)
        else:
            content[part] = changed(rng, content[part], gentle=rng.random() < 0.5)
        text = dumped(content).encode("ascii", "replace")
        tensors["content"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    else:
        name = pick(rng, sorted(tensors))
        tensor = tensors.pop(name)
        wrong = (
            *(
                tensor.flatten()[:-1],
                tensor.reshape(-1, 1),
                tensor.new_zeros(0),
                tensor.new_zeros(1),
                torch.tensor(1.0),
            ),
            *(tensor.to(kind) for kind in (torch.float64, torch.int32, torch.bfloat16, torch.bool)),
            *(tensor * torch.nan, tensor * 1e30, None),
        )
        made = pick(rng, wrong)
        if made is not None:
            tensors[pick(rng, (name, name, name, "attack.z", "rule.centre", "others.0", "x"))] = made.contiguous()
    header["sha256"] = _checksum(tensors)
    if rng.random() < 0.1:
        header[pick(rng, ("version", "sha256"))] = str(hostile(rng))
    return safetensors.torch.save(
        tensors, {key: value.encode("utf-8", "replace").decode() for key, value in header.items()}
    )


def snapshots(rng, folder: Path) -> None:
    """A checkpoint: refused, or the run goes on from it to a record that can be read."""
    name = pick(rng, SNAPSHOTS)
    run, data = RUNS[name], pick(rng, _kept(name))
    data = damaged(rng, data) if rng.random() < 0.3 else _resealed(rng, data)
    start = Snapshot.from_bytes(data, run.digest)
    try:
        result = simulate(run, start=start)
    except Unfit as error:
        raise InputError(str(error)) from None
    except ValueError as error:
        raise AssertionError(f"it was taken, and broke the run: {error}") from error
    record = Record.of(result)
    assert Record.from_json(record.to_json()).to_json() == record.to_json()


def pictures(rng, folder: Path) -> None:
    """timing.json and pictures.json by themselves."""
    store = Store(folder / "beside")
    home = store.runs / ("cd" * 32)
    home.mkdir(parents=True, exist_ok=True)
    sound = [picture.to_json() for picture in _results()[0].pictures]
    text = dumped(changed(rng, sound, gentle=rng.random() < 0.5))
    timing = dumped(changed(rng, {"seconds": 1.5, "rounds_per_second": 2.0, "device": "cpu"}))
    data = [damaged(rng, each.encode()) if rng.random() < 0.3 else each.encode() for each in (text, timing)]
    (home / "pictures.json").write_bytes(data[0])
    (home / "timing.json").write_bytes(data[1])
    drawn, noted = store.pictures(home.name), store.timing(home.name)
    for picture in drawn:
        assert all(
            math.isfinite(each) for point in (*picture.honest, *picture.byzantine, picture.mean) for each in point
        )
        assert len(picture.honest) == len(picture.skewed) <= 1000
    assert all(isinstance(value, str) or 0 <= value < math.inf for value in noted.values())
    if not drawn:
        raise InputError("no picture is left")
