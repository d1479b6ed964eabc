"""BibTeX entries: of gradskew, and of the papers of the methods that records use or names mean."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from ..aggregators import MIXINGS, RULES
from ..attacks import ATTACKS
from ..core.catalogue import Catalogue
from ..core.errors import InputError, unknown
from ..core.grammar import parse, split_prefix
from ..data import PARTITIONS, SOURCES
from ..federation.catalogue import SERVERS, VARIANTS
from ..models import MODELS
from ..runs.record import Record

ALWAYS = ("gradskew", "liu2025strike")  # the keys of this program and of the paper that it implements
METHODS: Sequence[Catalogue[Any]] = (ATTACKS, RULES, MIXINGS)  # an option of one of these may be one of them
PARTS: Mapping[str, Sequence[Catalogue[Any]]] = {  # of a spec
    "attack": METHODS,
    "aggregator": METHODS[1:],
    "partition": (PARTITIONS,),
    "model": (MODELS,),
    "local": (VARIANTS,),
    "server": (SERVERS,),
}
DEFAULTS = {"local": {"name": "fedavg"}, "server": {"name": "fedavg"}}  # a spec does not name these
EVERY = (*METHODS, SOURCES, PARTITIONS, MODELS, VARIANTS, SERVERS)


@dataclass(frozen=True)
class Paper:
    """An entry of papers.bib: its key, the sources that stand above it, and its text."""

    key: str
    sources: Sequence[str]
    text: str

    @property
    def title(self) -> str:
        """The title, without the braces of BibTeX."""
        return self._field("title").translate({ord("{"): None, ord("}"): None})

    @property
    def address(self) -> str:
        """The address on arXiv; empty for a paper that is not there."""
        return f"https://arxiv.org/abs/{eprint}" if (eprint := self._field("eprint")) else ""

    def _field(self, name: str) -> str:
        line = re.search(rf"^  {name} = {{(.*)}},$", self.text, re.MULTILINE)
        return line[1] if line else ""


@cache
def papers() -> Sequence[Paper]:
    """Return the entries of papers.bib, in its order."""
    found = []
    text = (importlib.resources.files(__package__) / "papers.bib").read_text(encoding="utf-8")
    for block in text.split("\n\n"):
        lines = block.strip().splitlines()
        sources = [line.removeprefix("% ") for line in lines if line.startswith("%")]
        entry = [line for line in lines if not line.startswith("%")]
        if entry:
            found.append(Paper(entry[0].partition("{")[2].rstrip(","), sources, "\n".join(entry)))
    return found


def cited(sources: Iterable[str]) -> list[Paper]:
    """Return the entries of gradskew, of STRIKE and of the papers of these sources, each once."""
    wanted = set(sources)
    return [paper for paper in papers() if paper.key in ALWAYS or wanted.intersection(paper.sources)]


def bibtex(sources: Iterable[str]) -> str:
    """Return the entries of `cited` as text, with the version of gradskew."""
    texts = {paper.key: paper.text for paper in cited(sources)}
    own = texts["gradskew"].removesuffix("}")
    texts["gradskew"] = f"{own}  version = {{{version('gradskew')}}},\n}}"
    return "\n\n".join(texts.values()) + "\n"


def sources_of_records(records: Iterable[Record]) -> set[str]:
    """Return the sources of gradskew's own methods in the specs of records: also of those inside others, and data."""
    found: set[str] = set()
    for record in records:
        spec = {**DEFAULTS, **record.spec}
        for part, catalogues in PARTS.items():
            for name in _names(spec.get(part)):
                found |= _sources(name, catalogues)
        found |= _sources(str(spec["dataset"]).partition("(")[0].partition(":")[0], [SOURCES])
    return found


def sources_of_name(text: str) -> set[str]:
    """Return the sources of the methods, data sets, ... of this name, and of those in its options.

    Raises InputError for a name that gradskew does not have.
    """
    found: set[str] = set()
    for written, options in parse(text):
        name = split_prefix(written)[0] or written
        known = [catalogue for catalogue in EVERY if name in catalogue]
        if not known:
            raise unknown("name", name, dict.fromkeys(each for catalogue in EVERY for each in catalogue))
        for catalogue in known:
            found |= _sources(name, [catalogue])
            if name in catalogue.pipelines:
                found |= sources_of_name(catalogue.pipelines[name])
        for value in options.values():
            found |= _sources_of_option(value)
    return found


def _sources_of_option(value: Any) -> set[str]:
    """Return the sources of an option that is a method; empty for any other value."""
    try:
        return sources_of_name(value) if isinstance(value, str) else set()
    except InputError:  # a word that is no name
        return set()


def _names(part: Any) -> Iterator[str]:
    """Yield the names of the methods in a part of a spec, at any depth."""
    if isinstance(part, Mapping):
        if isinstance(part.get("name"), str):
            yield part["name"]
        for value in part.values():
            yield from _names(value)


def _sources(name: str, catalogues: Iterable[Catalogue[Any]]) -> set[str]:
    """Return the sources of the classes of this name."""
    name = split_prefix(name)[0] or name
    classes = [catalogue.find(catalogue.resolve(name)[0]) for catalogue in catalogues]
    return {cls.source for cls in classes if cls is not None and cls.source}
