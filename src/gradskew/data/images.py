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


# By mode, the one on the way to colour or grey. Other modes have numbers whose white is unknown.
BYTES = {mode: mode for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")}
BYTES |= {"La": "LA", "RGBa": "RGBA"}
SIXTEEN_BITS = {  # (format, mode) of images with 16 bits a value, whose white is 65535
    *((kind, mode) for kind in ("PNG", "TIFF", "JPEG2000") for mode in ("I;16", "I;16B", "I;16L", "I;16N")),
    *(("PNG", "I"), ("PPM", "I")),
}
BITS, PHOTOMETRIC = 258, 262  # tags of TIFF


@dataclass(frozen=True)
class EncodedImage:
    """An encoded image: its bytes, or the file that holds them. place: what an error message calls it."""

    content: bytes | Path
    place: str


@dataclass(frozen=True, kw_only=True)
class Format:
    """The decoded form of images: uint8, (3, size, size) in colour or (size, size) in grey.

    crop: resize an image (bilinear) so that the shorter side is size * 256 / 224, rounded, or else `shorter`, and crop
    it to the centre. Without crop an image of another size raises InputError.
    """

    size: int
    colour: bool = True
    crop: bool = False
    shorter: int | None = None

    def decode(self, encoded: EncodedImage) -> Array:
        """Decode one image; InputError if it is damaged or has the wrong size."""
        from PIL import Image

        content = encoded.content
        try:
            with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as opened:
                kind, scaled = f"a {opened.format} of mode {opened.mode}", of_bytes(opened)
                image = scaled and scaled.convert("RGB" if self.colour else "L")
        except Exception:  # of any type: Pillow's decoders do not agree on one for damaged files
            raise InputError(f"{encoded.place} does not decode: it is damaged, or not an image") from None
        if image is None:
            raise InputError(
                f"{encoded.place} is {kind}: nothing says which number is white; store 8 or 16 bits a value"
            )
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

        shorter = self.shorter or round(self.size * 256 / 224)
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


def format_like(first: EncodedImage, size: int | None, *, colour: bool) -> Format:
    """Return the format in which images are squares of `size` pixels a side; None: of the size of the first one.

    An image of another size is then resized to its shorter side and cropped; with None it raises InputError, and so
    does a first one that is no square.
    """
    from PIL import Image

    if size is not None:
        return Format(size=size, colour=colour, crop=True, shorter=size)
    content = first.content
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as opened:
            width, height = opened.size
    except Exception:
        raise InputError(f"{first.place} does not decode: it is damaged, or not an image") from None
    square = f"{first.place} has {width} x {height} pixels: size=N makes squares of N x N of all images"
    check(width == height, square)
    return Format(size=width, colour=colour)


def of_bytes(opened: Image.Image) -> Image.Image | None:
    """Return an image with 8 bits a value, which colours or greys follow from; None if its white is unknown.

    16 bits are scaled: round(value * 255 / 65535). Pillow itself reads 16 bits of colour as their upper 8 bits.
    Transparency is left out: a pixel has its stored colour.
    """
    from PIL import Image

    if opened.mode in BYTES:
        return opened.convert(BYTES[opened.mode])
    tags = getattr(opened, "tag_v2", {BITS: (16,), PHOTOMETRIC: 1})
    known = (opened.format, opened.mode) in SIXTEEN_BITS and tags.get(BITS) == (16,) and tags.get(PHOTOMETRIC) == 1
    if not known:
        return None
    values = np.asarray(opened).astype(np.int64)
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
