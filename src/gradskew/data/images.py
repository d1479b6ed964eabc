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

CHUNK = 64  # images that a thread decodes at a time
MAX_ASPECT = 100  # longer side / shorter side; resizing a narrower image would take gigabytes


@dataclass(frozen=True)
class EncodedImage:
    """An encoded image: its bytes, or the file that holds them. place: what an error message calls it."""

    content: bytes | Path
    place: str


@dataclass(frozen=True, kw_only=True)
class Format:
    """The decoded form of images: uint8, (3, size, size) in colour or (size, size) in grey.

    crop: resize an image (bilinear) so that the shorter side is size * 256 / 224, rounded, and crop it to the centre.
    Without crop an image of another size raises InputError.
    """

    size: int
    colour: bool = True
    crop: bool = False

    def decode(self, encoded: EncodedImage) -> Array:
        """Decode one image; InputError if it is damaged or has the wrong size."""
        from PIL import Image

        content = encoded.content
        try:
            with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as opened:
                image = opened.convert("RGB" if self.colour else "L")
        except Exception:  # of any type: Pillow's decoders do not agree on one for damaged files
            raise InputError(f"{encoded.place} does not decode: it is damaged, or not an image") from None
        if self.crop:
            wide = max(image.size) <= MAX_ASPECT * min(image.size)
            check(wide, f"{encoded.place} is too narrow to crop it to a square: {image.width} x {image.height} pixels")
            image = self._cropped(image)
        got, wanted = (f"{width} x {height}" for width, height in (image.size, (self.size, self.size)))
        check(got == wanted, f"{encoded.place} has {got} pixels, not {wanted}")
        pixels = np.asarray(image)
        return pixels.transpose(2, 0, 1) if self.colour else pixels

    def _cropped(self, image: Image.Image) -> Image.Image:
        from PIL.Image import Resampling

        shorter = round(self.size * 256 / 224)
        width, height = (side * shorter // min(image.size) for side in image.size)
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        box = (left, top, left + self.size, top + self.size)
        return image.resize((width, height), Resampling.BILINEAR).crop(box)

    def decode_all(self, batches: Iterable[Sequence[EncodedImage]], count: int) -> Array:
        """Decode `count` images, in their order: (count, ...) uint8. The batches are taken one at a time."""
        images = np.empty((count, *[3] * self.colour, self.size, self.size), np.uint8)

        def decode_chunk(first: int, chunk: Sequence[EncodedImage]) -> None:
            for index, encoded in enumerate(chunk, first):
                images[index] = self.decode(encoded)

        done = 0
        pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's, about unusual metadata
                for batch in batches:
                    starts = range(0, len(batch), CHUNK)
                    chunks = [batch[start : start + CHUNK] for start in starts]
                    for _ in pool.map(decode_chunk, [done + start for start in starts], chunks):
                        pass  # raises what a thread has raised
                    done += len(batch)
        finally:
            pool.shutdown(cancel_futures=True)
        return images
