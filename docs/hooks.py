"""What the site shows from outside docs/, and links that hold both there and on the repository's own pages.

A page under docs/ links to `../results`, and `benchmarks/README.md` to `../docs/skew.md`; in the site, docs/ is the
root. Links to other sites are listed, and not fetched.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md", "results/*.md", "results/*.png")
LINK = re.compile(r"(?<=\]\()(?!\w+:|[#/])([^)\s]+)")  # the target in [text](target), if it is a relative path
EXTERNAL = re.compile(r"\]\((https?://[^)\s]+)")
EXAMPLE = re.compile(r"^>>> (?:.+\n?)+", re.MULTILINE)
log = logging.getLogger("mkdocs.hooks")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from outside docs/, under their own paths."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point each relative link at where its target lies in the site."""
    uri = page.file.src_uri
    here = posixpath.dirname(uri if page.file.generated_by else f"docs/{uri}")

    def moved(link: re.Match[str]) -> str:
        path, hash_, anchor = link[1].partition("#")
        target = posixpath.normpath(posixpath.join(here, path)).removeprefix("docs/")
        if (ROOT / target).is_dir():
            target += "/README.md"
        return posixpath.relpath(target, posixpath.dirname(uri) or ".") + hash_ + anchor

    for link in EXTERNAL.findall(markdown):
        log.info("not fetched: %s, in %s", link, uri)
    return LINK.sub(moved, markdown)


class Examples(griffe.Extension):
    """Examples in docstrings become code: to Markdown, `>>>` is a quotation in a quotation in a quotation."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(_fenced, obj.docstring.value)


def _fenced(example: re.Match[str]) -> str:
    return f"```python\n{example[0].rstrip()}\n```\n"


class Stubs(griffe.Extension):
    """What a stub imports under its own name is public, as for type checkers: `from .lie import LIE as LIE`."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        for module in [pkg, *pkg.modules.values()]:
            stub = module.filepath.with_suffix(".pyi") if isinstance(module.filepath, Path) else None
            if stub is not None and stub.is_file():
                module.exports = re.findall(r"^from \S+ import (\w+) as \1$", stub.read_text(), re.MULTILINE)
