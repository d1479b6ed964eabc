"""LEAF's Shakespeare and Sent140: tokens, labels and writers by hand, and one line for what is wrong."""

import json

import pytest
import torch
from leaf_files import write_leaf

from gradskew import data, simulate
from gradskew.core.errors import InputError
from gradskew.data import Sent140, Shakespeare
from gradskew.runs.settings import make_runs


def string(text):
    """A string of 80 characters that begins with the text."""
    return text + "." * (80 - len(text))


def tweet(text, *more):
    return ["2087", "Sat May 16 23:58:44 UTC 2009", "NO_QUERY", "someone", text, *more]


def write(folder, train, test=None):
    """Write a part, or both, of users with pairs (x, y)."""
    for part, users in (("train", train), ("test", test)):
        if users is not None:
            rows = {user: {"x": [x for x, _ in pairs], "y": [y for _, y in pairs]} for user, pairs in users.items()}
            write_leaf(folder / "data" / part / "all_data.json", rows)
    return folder


ROMEO, JULIET = "ROMEO_AND_JULIET_ROMEO", "ROMEO_AND_JULIET_JULIET"


@pytest.mark.parametrize("inside", ["", "data"])
def test_shakespeare(tmp_path, inside):
    """By the list: newline is class 0, space 1, ! 2, . 10, 0 11, 9 20, A 25, Z 50, a 53, z 78 and } 79."""
    train = {ROMEO: [(string("AZ az"), "!"), (string("\n09"), "}")], JULIET: [(string("}"), "a")]}
    write(tmp_path, train, {ROMEO: [(string(""), "\n")]})
    dataset = Shakespeare(folder=tmp_path / inside).load()
    assert dataset.train.inputs[:, :5].tolist() == [[26, 51, 2, 54, 79], [1, 12, 21, 11, 11], [80, 11, 11, 11, 11]]
    assert dataset.test.inputs.tolist() == [[11] * 80]
    assert (dataset.train.labels.tolist(), dataset.test.labels.tolist()) == ([2, 79, 53], [0])
    assert (dataset.train.writers.tolist(), dataset.test.writers.tolist()) == ([1, 1, 0], [1])
    assert (dataset.num_classes, dataset.tokens, dataset.train.inputs.dtype) == (80, True, torch.uint8)
    assert dataset.inputs(dataset.test.inputs)[0, 0] == 11


def test_sent140(tmp_path):
    """H is byte 72, i 105, é 195 and 169; what is behind the end is 0."""
    train = {"b": [(tweet("Hi"), 1), (tweet("é\0i!", "training"), 0)], "a": [(tweet(""), 1)]}
    write(tmp_path, train, {"c": [(tweet("iii"), 0)]})
    dataset = Sent140(folder=tmp_path, length=4).load()
    assert dataset.train.inputs.tolist() == [[72, 105, 0, 0], [195, 169, 32, 105], [0, 0, 0, 0]]
    assert dataset.test.inputs.tolist() == [[105, 105, 105, 0]]
    assert (dataset.train.labels.tolist(), dataset.test.labels.tolist()) == ([1, 0, 1], [0])
    assert (dataset.train.writers.tolist(), dataset.test.writers.tolist()) == ([1, 1, 0], [2])
    assert (dataset.num_classes, dataset.tokens) == (2, True)
    assert Sent140(folder=tmp_path).load().shape == (140,)


def test_the_last_tenth_of_each_writer_is_held_out(tmp_path):
    write(tmp_path, {"a": [(tweet(str(i)), 0) for i in range(3)], "b": [(tweet("x"), 1), (tweet("y"), 1)]})
    dataset = Sent140(folder=tmp_path, length=1).load()
    assert dataset.train.inputs.flatten().tolist() == [ord(char) for char in "01x"]
    assert dataset.test.inputs.flatten().tolist() == [ord(char) for char in "2y"]


@pytest.mark.parametrize(
    ("name", "pair", "says"),
    [
        ("shakespeare", (string("") + ".", "a"), "string 1 of the writer 'u' in '.*json' is no text of 80 characters"),
        ("shakespeare", (3, "a"), "string 1 of the writer 'u' .* is no text of 80 characters"),
        ("shakespeare", (string(""), "aa"), "label 1 of the writer 'u' .* is no text of 1 character"),
        ("shakespeare", (string(""), 3), "label 1 of the writer 'u' .* is no text of 1 character"),
        ("shakespeare", (string("thou #"), "a"), "string 1 of .* has the character '#', which is none of LEAF's 80"),
        ("shakespeare", (string("\u00e9"), "a"), "string 1 of .* has the character '\u00e9', which is none of LEAF's"),
        ("shakespeare", (string("\ud800"), "a"), r"string 1 of .* has the character '\\ud800', which is none"),
        ("shakespeare", (string(""), "~"), "label 1 of .* has the character '~', which is none of LEAF's 80"),
        ("sent140", ("Hi", 1), "tweet 1 of the writer 'u' in '.*json' is no list with the text as its entry 4"),
        ("sent140", (tweet("Hi")[:4], 1), "tweet 1 of the writer 'u' .* is no list with the text as its entry 4"),
        ("sent140", (tweet(None), 1), "tweet 1 of the writer 'u' .* is no list with the text as its entry 4"),
        ("sent140", (tweet("Hi"), "happy"), "the writer 'u' .* has labels that are not whole numbers"),
        ("sent140", (tweet("Hi"), [1]), "the writer 'u' .* has labels that are not whole numbers"),
        ("sent140", (tweet("Hi"), 4), "the training labels run from 0 to 4: 0 to 1 is allowed"),
    ],
)
def test_wrong_entries_are_one_line(tmp_path, name, pair, says):
    good = (string("Hi"), "!") if name == "shakespeare" else (tweet("Hi"), 0)
    write(tmp_path, {"u": [good, pair, good]}, {"u": [good]})
    with pytest.raises(InputError, match=f"^{name}: {says}") as caught:
        data.make(name, folder=tmp_path).load()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["shakespeare", "sent140"])
def test_wrong_files_are_one_line(tmp_path, name):
    with pytest.raises(InputError, match=rf"{name}: .*has none of its files.*https://github.com/TalwalkarLab/leaf"):
        data.make(name, folder=tmp_path).load()
    with pytest.raises(InputError, match=f"{name} cannot be downloaded"):
        data.make(name, download=True)
    path = write_leaf(tmp_path / "train" / "a.json", {"u": {"x": [1, 2], "y": [1]}})
    with pytest.raises(InputError, match=f"^{name}: the writer 'u' in '.*a.json' has 2 inputs and 1 labels"):
        data.make(name, folder=tmp_path).load()
    path.write_text(json.dumps({"users": ["u"]}))
    with pytest.raises(InputError, match=f"^{name}: '.*a.json' is not LEAF's"):
        data.make(name, folder=tmp_path).load()
    with pytest.raises(InputError, match="sent140: length must be"):
        data.make("sent140(length=0)")


@pytest.mark.parametrize(("name", "model"), [("shakespeare", "lstm(vocabulary=81,last=True)"), ("sent140", "lstm")])
def test_a_federation_of_writers(tmp_path, name, model):
    pairs = [(string("Hi"), "!"), (string("ho"), "a")] if name == "shakespeare" else [(tweet("Hi"), 0), (tweet("o"), 1)]
    write(tmp_path, dict.fromkeys("abcd", pairs), {"a": pairs})
    given = {"dataset": name, "data": tmp_path, "attacks": "ipm", "rules": "median", "rounds": 1, "pictures": "none"}
    recommended = make_runs(given)[0]
    assert (recommended.clients, recommended.num_sampled, recommended.partition.name) == (4, 4, "writer")
    assert recommended.model.key == "lstm"
    (run,) = make_runs({**given, "model": model})
    assert simulate(run).rounds[0]["stepped"]
