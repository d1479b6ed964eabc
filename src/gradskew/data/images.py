"""Encoded images (JPEG, PNG, ...) as arrays of bytes."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InputError, check
from .base import Array

if TYPE_CHECKING:
    from PIL import Image

TOGETHER = 64  # images that a thread decodes at a time
NARROWEST = 100  # times as long as wide; more would need gigabytes on the way to a square


@dataclass(frozen=True)
class Picture:
    """An encoded image: its bytes, or the file that holds them. place: what an error calls it."""

    content: bytes | Path
    place: str


@dataclass(frozen=True, kw_only=True)
class Format:
    """What pictures become: uint8, (3, size, size) in colour or (size, size) in grey.

    crop: resized first (bilinear), so that the shorter side is size * 256 / 224, rounded, then cut out of the middle;
    without it a picture of another size is an error.
    """

    size: int
    colour: bool = True
    crop: bool = False

    def decode(self, picture: Picture) -> Array:
        """One picture."""
        from PIL import Image

        content = picture.content
        try:
            with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as opened:
                image = opened.convert("RGB" if self.colour else "L")
        except Exception:  # Pillow raises whatever a damaged file makes it stumble over
            raise InputError(f"{picture.place} does not decode: it is damaged, or no image") from None
        if self.crop:
            wide = max(image.size) <= NARROWEST * min(image.size)
            check(wide, f"{picture.place} is too narrow to cut a square out of: {image.width} x {image.height} pixels")
            image = self._cropped(image)
        got, wanted = (f"{width} x {height}" for width, height in (image.size, (self.size, self.size)))
        check(got == wanted, f"{picture.place} has {got} pixels, not {wanted}")
        pixels = np.asarray(image)
        return pixels.transpose(2, 0, 1) if self.colour else pixels

    def _cropped(self, image: Image.Image) -> Image.Image:
        from PIL.Image import Resampling

        shorter = round(self.size * 256 / 224)
        width, height = (side * shorter // min(image.size) for side in image.size)
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        box = (left, top, left + self.size, top + self.size)
        return image.resize((width, height), Resampling.BILINEAR).crop(box)

    def decode_all(self, batches: Iterable[Sequence[Picture]], count: int) -> Array:
        """All `count` pictures in their order, (count, ...); one batch is read at a time."""
        images = np.empty((count, *[3] * self.colour, self.size, self.size), np.uint8)

        def put(first: int, pictures: Sequence[Picture]) -> None:
            for index, picture in enumerate(pictures, first):
                images[index] = self.decode(picture)

        done = 0
        pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata
                for batch in batches:
                    firsts = range(0, len(batch), TOGETHER)
                    chunks = [batch[first : first + TOGETHER] for first in firsts]
                    for _ in pool.map(put, [done + first for first in firsts], chunks):
                        pass
                    done += len(batch)
        finally:
            pool.shutdown(cancel_futures=True)
        return images
