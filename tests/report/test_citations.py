"""BibTeX: every source of every method has an entry, each entry can be read, and what records and names cite."""

import re
from importlib.metadata import version

import pytest
from made_records import record

from gradskew.core.errors import InputError
from gradskew.report.citations import EVERY, bibtex, papers, sources_of_name, sources_of_records

KEY = re.compile(r"^@(\w+)\{([a-z0-9]+),$", re.MULTILINE)
FIELD = re.compile(r"^  ([a-z]+) = \{(.+)\},$")
NEEDED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "misc": {"author", "title", "year"},
    "software": {"author", "title"},
    "techreport": {"author", "title", "institution", "year"},
}
ALWAYS = ["gradskew", "liu2025strike"]


def keys(text):
    return [key for _, key in KEY.findall(text)]


def cited(*names):
    """The keys besides the two that are always there."""
    found = keys(bibtex(source for name in names for source in sources_of_name(name)))
    assert found[:2] == ALWAYS
    return found[2:]


def test_every_source_of_every_method_has_an_entry():
    known = {source for paper in papers() for source in paper.sources}
    used = {cls.source for catalogue in EVERY for cls in catalogue.classes.values() if cls.source}
    assert used - known == set()
    assert known - used == set()  # no entry stays when its method goes
    assert len(used) > 50


@pytest.mark.parametrize("paper", papers(), ids=lambda paper: paper.key)
def test_every_entry_has_its_fields(paper):
    first, *lines, last = paper.text.splitlines()
    kind, key = KEY.fullmatch(first).groups()
    assert (key, last) == (paper.key, "}")
    fields = dict(FIELD.fullmatch(line).groups() for line in lines)
    assert len(fields) == len(lines)
    assert NEEDED[kind] <= fields.keys()
    assert "eprint" not in fields or fields["archiveprefix"] == "arXiv"
    assert paper.text.isascii()  # BibTeX itself reads no UTF-8
    depth = 0
    for char in paper.text:
        depth += (char == "{") - (char == "}")
        assert depth >= 0
    assert depth == 0
    years = {year for source in paper.sources for year in re.findall(r"\b(?:19|20)\d\d\b", source)}
    of_entry = fields.get("year", "")
    # OPODIS 2020 was published in 2021
    assert not years or of_entry in years or key in ("gradskew", "boussetta2021aksel", "he2020fedml")


def test_keys_are_not_given_twice():
    found = [paper.key for paper in papers()]
    assert len(set(found)) == len(found)


def test_without_methods_it_is_gradskew_with_its_version_and_strike():
    text = bibtex([])
    assert keys(text) == ALWAYS
    assert f"\n  version = {{{version('gradskew')}}},\n}}\n" in text
    assert "eprint = {2502.04890}" in text


def test_what_names_cite():
    assert cited("krum") == cited("Multi-Krum") == ["blanchard2017krum"]
    assert set(cited("nnm+rfa")) == {"allouah2023nnm", "pillutla2022rfa"}
    assert set(cited("keep(rule=multikrum(m=1))+median")) == {"blanchard2017krum", "yin2018optimal"}
    assert cited("strike") == cited("none") == cited("iid") == []
    assert cited("adaptive") == ["croce2020autoattack"]
    assert set(cited("zero")) == {"he2020fedml", "xu2022signguard"}
    assert cited("csv:rows.csv(label=y)") == cited("text:novels") == []
    assert cited("emnist(split=letters)") == ["cohen2017emnist"]
    assert set(cited("sent140")) == {"go2009twitter", "caldas2018leaf"}
    assert cited("cifar10", "cifar100") == ["krizhevsky2009cifar"]
    assert "shejwalkar2021manipulating" in cited("consensus_dnc")
    with pytest.raises(InputError, match="unknown name 'medan'; did you mean 'median'"):
        sources_of_name("medan")


def test_what_records_cite():
    plain = record("lie", "median", 50)
    assert set(keys(bibtex(sources_of_records([plain])))) == {
        *ALWAYS,
        "baruch2019lie",
        "yin2018optimal",
        "hsu2019measuring",  # the partition
        "alpaydin1998digits",
        "mcmahan2017fedavg",  # local training and server
    }
    mixed = record("none", "median", 50)
    mixed.spec.update(
        {
            "aggregator": {"name": "mixed", "mixing": {"name": "nnm"}, "rule": {"name": "rfa"}},
            "attack": {"name": "combined", "data": {"name": "labelflip"}, "model": {"name": "lie", "z": 1.0}},
            "local": {"name": "scaffold"},
            "server": {"name": "fedadam"},
            "dataset": "csv(label=y)",
            "partition": {"name": "extreme"},
            "model": {"name": "resnet18"},
        }
    )
    assert set(keys(bibtex(sources_of_records([mixed])))) == {
        *ALWAYS,
        "allouah2023nnm",
        "pillutla2022rfa",
        "tolpegin2020poisoning",
        "baruch2019lie",
        "karimireddy2020scaffold",
        "reddi2021adaptive",
        "he2016resnet",
    }


def test_a_method_of_ones_own_cites_nothing():
    own = record("none", "median", 50)
    own.spec.update({"aggregator": {"name": "user", "path": "my_rules:best"}, "model": {"name": "user"}})
    assert "yin2018optimal" not in bibtex(sources_of_records([own]))


def test_the_command(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert keys(call("cite").out) == ALWAYS
    assert keys(call("cite", "median", "lie(z=1.0)").out) == [*ALWAYS, "baruch2019lie", "yin2018optimal"]
    options = (
        "--clients 6 --byzantine 1 --rounds 2 --epochs 1 --model linear --workers 1 --attacks none,lie --rules mean"
    )
    assert call("bench", *options.split(), "--out", "mine").code == 0
    written = (tmp_path / "mine" / "citations.bib").read_text()
    assert {"baruch2019lie", "mcmahan2017fedavg", "hsu2019measuring"} < set(keys(written))
    assert call("cite", "mine").out == written
    (tmp_path / "median").mkdir()  # a name comes before a folder
    assert "yin2018optimal" in call("cite", "median").out


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("medan", "unknown name 'medan'; did you mean 'median'"),
        ("empty", "no runs in 'empty': `gradskew bench --out empty` makes some"),
        ("a b(", "cannot read 'a b('"),
        ("", "cannot read ''"),
    ],
)
def test_what_cannot_be_cited_is_one_line(word, says, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    outcome = call("cite", word)
    assert outcome.code == 2
    assert says in outcome.error()
