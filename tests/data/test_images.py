"""Every mode and depth that Pillow opens has the right values, or is refused in one line with its file and mode."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gradskew.core.errors import InputError
from gradskew.data.images import EncodedImage, Format

COLOUR, GREY = (200, 100, 50), 124  # grey: (299 * 200 + 587 * 100 + 114 * 50) / 1000 = 124.2
COLOURS, GREYS = Format(size=4), Format(size=4, colour=False)
RAMP = np.array([0, 128, 129, 257, 32767, 32768, 40000, 65535], ">u2")
SCALED = [0, 0, 1, 1, 127, 128, 156, 255]  # value * 255 / 65535 = value / 257, rounded


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(mode, colour):
    return Image.new(mode, (4, 4), colour)


def value(format, content):
    pixels = format.decode(EncodedImage(content, "'a.png'"))
    assert pixels.dtype == np.uint8
    assert (pixels == pixels[..., :1, :1]).all()
    return tuple(pixels[:, 0, 0].tolist()) if format.colour else int(pixels[0, 0])


def palette(mode="RGB", colour=COLOUR):
    image = Image.new("P", (4, 4), 3)
    image.putpalette([*[0] * 9, *colour], mode)
    return image


def png(depth, colour_type, row):
    """A PNG of four rows of these bytes."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", 4, 4, depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for _ in range(4)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def tiff16(bits=16, photometric=1, value=40000):
    """A little-endian TIFF of 4 x 4 values of 16 or 12 bits."""
    content = value.to_bytes(2, "little") * 16 if bits == 16 else bytes([0xAB, 0xCA, 0xBC]) * 8
    tags = [(256, 4), (257, 4), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, 4)]
    entries = [struct.pack("<HHII", tag, 3, 1, number) for tag, number in [*tags, (279, len(content))]]
    head = struct.pack("<2sHI", b"II", 42, 8 + len(content))
    return head + content + struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0)


@pytest.mark.parametrize(
    ("content", "colour", "grey"),
    [
        (saved(plain("1", 1), "PNG"), (255, 255, 255), 255),
        (saved(plain("1", 0), "PNG"), (0, 0, 0), 0),
        (png(2, 0, bytes([0b10101010])), (170, 170, 170), 170),
        (png(4, 0, bytes([0x55, 0x55])), (85, 85, 85), 85),
        (saved(plain("L", 77), "PNG"), (77, 77, 77), 77),
        (saved(plain("LA", (77, 10)), "PNG"), (77, 77, 77), 77),
        (saved(palette(), "PNG"), COLOUR, GREY),
        (saved(palette(), "PNG", transparency=3), COLOUR, GREY),
        (saved(palette(), "GIF", transparency=3), COLOUR, GREY),
        (saved(plain("RGB", COLOUR), "PNG"), COLOUR, GREY),
        (saved(plain("RGB", COLOUR), "PNG", transparency=COLOUR), COLOUR, GREY),
        (saved(plain("RGBA", (*COLOUR, 10)), "PNG"), COLOUR, GREY),
        (saved(plain("RGBX", (*COLOUR, 10)), "TIFF"), COLOUR, GREY),
        (saved(plain("CMYK", (55, 155, 205, 0)), "TIFF"), COLOUR, GREY),
        (png(16, 0, struct.pack(">H", 40000) * 4), (156, 156, 156), 156),
        (png(16, 4, struct.pack(">HH", 77 * 257, 9) * 4), (77, 77, 77), 77),
        (png(16, 2, struct.pack(">HHH", *(257 * part for part in COLOUR)) * 4), COLOUR, GREY),
        (png(16, 6, struct.pack(">HHHH", *(257 * part for part in COLOUR), 9) * 4), COLOUR, GREY),
        (tiff16(), (156, 156, 156), 156),
        (b"P5 4 4 65535\n" + struct.pack(">H", 40000) * 16, (156, 156, 156), 156),
        (b"P5 4 4 1000\n" + struct.pack(">H", 610) * 16, (156, 156, 156), 156),
        (b"P5 4 4 100\n" + bytes([61] * 16), (156, 156, 156), 156),
        (b"P6 4 4 65535\n" + struct.pack(">HHH", *(257 * part for part in COLOUR)) * 16, COLOUR, GREY),
    ],
)
def test_right_values(content, colour, grey):
    assert value(COLOURS, content) == colour
    assert abs(value(GREYS, content) - grey) <= 1, "from a palette's or an ink's colour, a grey is rounded once more"


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBa", "La", "PA"])
def test_modes_that_few_files_have(mode, monkeypatch):
    """Pillow decodes few files to these modes; some of them it converts by way of others."""
    source = plain("LA", (77, 255)) if mode == "La" else plain("RGBA", (*COLOUR, 255))
    image = source.convert("RGB").quantize(8).convert("PA") if mode == "PA" else source
    image = image if mode == "PA" else (source if mode in ("La", "RGBa") else source.convert("RGB")).convert(mode)
    image.format = "TIFF"
    monkeypatch.setattr(Image, "open", lambda content: image)
    wanted = (77, 77, 77) if mode == "La" else COLOUR
    assert np.abs(np.subtract(value(COLOURS, b""), wanted)).max() <= 2


def test_sixteen_bits_are_scaled_not_clipped():
    for number, wanted in zip(RAMP.tolist(), SCALED, strict=True):
        assert value(GREYS, png(16, 0, struct.pack(">H", number) * 4)) == wanted


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (saved(plain("F", 0.5), "TIFF"), "TIFF of mode F"),
        (saved(plain("I", 70000), "TIFF"), "TIFF of mode I"),
        (saved(plain("LAB", (120, 20, 30)), "TIFF"), "TIFF of mode LAB"),
        (saved(plain("F", 0.5), "PPM"), "PPM of mode F"),
        (tiff16(bits=12), "TIFF of mode I;16"),
        (tiff16(photometric=0), "TIFF of mode I;16"),
    ],
)
def test_unknown_scales_are_refused(content, kind):
    with pytest.raises(InputError, match=f"'a.png' is a {kind}: nothing says which number is white") as error:
        COLOURS.decode(EncodedImage(content, "'a.png'"))
    assert "\n" not in str(error.value)
