"""Plain texts: passages, the bytes behind them, tokens, clients and parts by hand, and one line for what is wrong."""

from __future__ import annotations

import pytest
import torch

from gradskew import data, simulate
from gradskew.core.errors import InputError
from gradskew.federation.loss import LOSSES
from gradskew.runs.settings import make_runs


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSKEW_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """Two texts, of which two bytes are the passages: he|l ll|o and ho|l le|. with a rest of one byte, and others."""
    home = tmp_path / "texts"
    home.mkdir()
    for name, text in {"b.txt": "hole.", "a.txt": "hello!", ".c.txt": "hidden", "notes.md": "no text"}.items():
        (home / name).write_text(text)
    return home


def load(path, options="(length=2)"):
    return data.make(f"text:{path}{options}").load()


def rows(split):
    writers = [None] * len(split) if split.writers is None else split.writers.tolist()
    return list(zip(split.inputs.tolist(), split.labels.tolist(), writers, strict=True))


def test_passages_and_the_bytes_behind_them(folder) -> None:
    """The bytes . e h l o are tokens 1 to 5; the last passage of each text is the test part."""
    dataset = load(folder)
    assert rows(dataset.train) == [([3, 2], 3, 0), ([3, 5], 3, 1)]
    assert rows(dataset.test) == [([4, 4], 4, 0), ([4, 2], 0, 1)]
    assert (dataset.num_classes, dataset.vocabulary, dataset.tokens) == (5, 6, True)
    assert dataset.train.inputs.dtype == torch.uint8
    assert dataset.inputs(dataset.train.inputs).tolist() == [[3, 2], [3, 5]]
    assert list(dataset.notes) == [
        "read from 'texts'",
        "inputs are passages of 2 bytes, from 10 bytes of 2 texts",
        "the label of a passage is the byte behind it; 5 different bytes are the classes",
        "the test part is the last 20 % of each text's passages",
        "2 training rows, 2 test rows; classes . 0.0 %, e 0.0 %, h 0.0 %, l 100.0 %, o 0.0 %",
        "no training row is of class '.', 'e', 'h', 'o'",
        "2 clients with 1 to 1 training rows",
    ]


def test_each_text_is_a_client_and_one_alone_is_none(folder) -> None:
    assert data.make(f"text:{folder}").partition == "writer"
    (folder / "b.txt").unlink()
    for path in (folder, folder / "a.txt"):
        assert data.make(f"text:{path}").partition == "dirichlet"
        assert load(path).train.writers is None
    assert load(folder).digest == load(folder / "a.txt").digest


def test_the_test_part_is_the_last_passages(tmp_path) -> None:
    """Of 26 letters the passages are ab to wx, 12, and the test part round(0.3 x 12) = 4 of them: qr, st, uv, wx."""
    (tmp_path / "letters.txt").write_text("abcdefghijklmnopqrstuvwxyz")
    dataset = load(tmp_path / "letters.txt", "(length=2,test=0.3)")
    assert dataset.train.inputs.tolist() == [[i, i + 1] for i in range(1, 17, 2)]
    assert dataset.train.labels.tolist() == [i + 1 for i in range(1, 17, 2)]
    assert dataset.test.inputs.tolist() == [[17, 18], [19, 20], [21, 22], [23, 24]]


@pytest.mark.parametrize("one", [True, False])
def test_a_test_part_of_its_own(folder, tmp_path, one) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "c.txt").write_text("heel")
    dataset = load(folder, f"(length=2,test={other / 'c.txt' if one else other})")
    assert rows(dataset.train) == [([3, 2], 3, 0), ([4, 4], 4, 0), ([3, 5], 3, 1), ([4, 2], 0, 1)]
    assert rows(dataset.test) == [([3, 2], 1, None)]
    assert "the test part is the data's own" in dataset.notes


def test_bytes_of_any_kind(tmp_path) -> None:
    """In UTF-8 é is 195 and 169; NUL becomes a space, so that 0 stays the end of a text."""
    (tmp_path / "e.txt").write_bytes("é\0\n é".encode())
    dataset = load(tmp_path / "e.txt", "(length=1)")
    assert dataset.train.inputs.flatten().tolist() == [4, 3, 2, 1, 2]
    assert dataset.train.labels.tolist() == [2, 1, 0, 1, 3]
    assert (dataset.test.inputs.tolist(), dataset.test.labels.tolist()) == ([[4]], [2])
    assert dataset.notes[4].endswith(r"; classes \n 20.0 %, space 40.0 %, byte 169 20.0 %, byte 195 20.0 %")


def test_short_texts_are_left_out_and_said(folder) -> None:
    (folder / "c.txt").write_text("oh")
    assert "1 text with no more than 2 bytes: left out" in load(folder).notes


def test_a_client_with_one_passage(folder) -> None:
    (folder / "c.txt").write_text("ohe")
    with pytest.raises(InputError, match=r"^text: the client 'c' has one row, and it cannot both train and test: min_"):
        load(folder)
    assert "1 client with fewer than 2 rows: left out, 1 row in all" in load(folder, "(length=2,min_rows=2)").notes


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("(length=0)", "text: length must be a whole number|text: length must be"),
        ("(length=9)", "text: no text has more than 9 bytes, .*: a smaller length makes shorter passages"),
        ("(test=0.6)", "text: test must be"),
        ("(client=a)", "unknown option of text 'client'"),
        ("(seed=1)", "unknown option of text 'seed'"),
        ("(shape=2)", "unknown option of text 'shape'"),
        ("(standardise=False)", "unknown option of text 'standardise'"),
        ("(test=nowhere.txt)", "text: there is no 'nowhere.txt'"),
    ],
)
def test_wrong_options_are_one_line(folder, options, says) -> None:
    with pytest.raises(InputError, match=says) as caught:
        load(folder, options)
    assert "\n" not in str(caught.value)


def test_wrong_files_are_one_line(folder, tmp_path) -> None:
    with pytest.raises(InputError, match=r"^text: there is no '.*nowhere'"):
        _ = data.make(f"text:{tmp_path / 'nowhere'}").partition
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"^text: the folder '.*empty' has no \.txt files"):
        load(tmp_path / "empty")
    with pytest.raises(InputError, match=r"^text: no file is given: write text:FILE_OR_FOLDER, or name it with --data"):
        data.make("text").load()
    (folder / "b.txt").write_bytes("naïve".encode("latin1"))
    with pytest.raises(InputError, match=r"^text: '.*b.txt' is not in UTF-8, by its byte 2: convert the text"):
        load(folder)
    (folder / "b.txt").write_text("aaaa")
    with pytest.raises(InputError, match=r"^text: num_classes must be at least 2"):
        load(folder / "b.txt", "(length=1)")


@pytest.mark.parametrize(
    ("options", "loss"), [({}, "cross_entropy"), ({"loss": "next_token", "model": "lstm(each=True)"}, "next_token")]
)
def test_a_federation_learns_to_write(tmp_path, options, loss) -> None:
    """Each letter follows from the one before, so that the most frequent one is right in a fifth of the places."""
    for i in range(4):
        (tmp_path / f"{i}.txt").write_text(("abcde" * 40)[i:])
    given = {"dataset": f"text:{tmp_path}(length=9)", "attacks": "none", "rules": "median", "rounds": 12, **options}
    (run,) = make_runs({**given, "batch": 4, "pictures": "none"})
    assert (run.clients, run.loss, run.partition.name) == (4, loss, "writer")
    assert LOSSES[run.loss].outputs(run.source.load()) == 5 + (loss == "next_token")
    assert simulate(run).rounds[-1]["accuracy"] > 60
