"""What the page shows when a reader opens it: in the page, or in files beside it where it does not fit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from ...core.files import make_folder, write

FOLDER = "report-details"
MOST = 8_000_000  # characters of details in a page: more are in files
PART = 1_000_000  # characters of a file, about


class Details:
    """Blocks of HTML by the id of the element that they are in.

    beside: the folder of the page; where the blocks have more than MOST characters, they go into files in its
    `report-details`, which are JavaScript, since a page that is opened from a disk may not read other files. None: all
    blocks are in the page.
    """

    def __init__(self, beside: Path | None = None):
        self._folder = None if beside is None else beside / FOLDER
        self._kept: dict[str, str] = {}
        self._blocks: dict[str, str] = {}
        self._size = 0
        self._files: dict[str, str] = {}

    @property
    def in_files(self) -> bool:
        return bool(self._files)

    def add(self, anchor: str, block: str, *, is_open: bool = False) -> None:
        """Add what the element with this id shows. is_open: from the beginning, so that it stays in the page."""
        if is_open:
            self._kept[anchor] = block
            return
        self._blocks[anchor] = block
        self._size += len(block)
        if self._folder is not None and self._size > (PART if self.in_files else MOST):
            self._write()

    def close(self) -> None:
        """Write the last blocks, if there are files."""
        if self.in_files:
            self._write()

    def block(self, anchor: str) -> Markup:
        """Return what is in the element; empty if it is in a file."""
        return Markup(self._kept.get(anchor) or self._blocks.get(anchor, ""))

    def source(self, anchor: str) -> Markup:
        """Return the attribute of the element that names the file of its block; empty if it is in the page."""
        return Markup(' data-file="{}"').format(self._files[anchor]) if anchor in self._files else Markup("")

    def _write(self) -> None:
        """Write all blocks, to files of about PART characters."""
        part: dict[str, str] = {}
        for anchor, block in self._blocks.items():
            part[anchor] = block
            if sum(map(len, part.values())) >= PART:
                self._write_file(part)
                part = {}
        if part:
            self._write_file(part)
        self._blocks, self._size = {}, 0

    def _write_file(self, blocks: Mapping[str, str]) -> None:
        """Write blocks to a file, which is named by the digest of its content."""
        assert self._folder is not None
        content = f"details({json.dumps(blocks)});\n"
        name = f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.js"
        make_folder(self._folder)
        write(self._folder / name, content)
        self._files |= dict.fromkeys(blocks, name)


def remove_unused(beside: Path, page: str) -> None:
    """Remove the details of earlier pages in a folder. page: the one that is there now."""
    folder, used = beside / FOLDER, set(re.findall(r' data-file="([0-9a-f]{16}\.js)"', page))
    for path in folder.glob("*.js"):
        if re.fullmatch(r"[0-9a-f]{16}\.js", path.name) and path.name not in used:
            path.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
