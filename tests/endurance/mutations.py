"""Hostile values, and small changes to sound content: the raw material of the fuzzer. All drawn from a generator."""

import copy
import json
import math
import string

import numpy as np

Rng = np.random.Generator

TEXTS = (
    "", " ", "0", "-1", "nan", "none", "median", "a" * 300, "\0", "\n", "\r\n", "=1+1", "+1", "@x", "-x", "[x]", "*",
    "../..", "</script><img src=x onerror=alert(1)>", "{{7*7}}", "\\input{x}", "$x_1$", "é", "λ" * 40, "\ud800",
    "\u202e", "a,b\"c'", "%s",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 5, 10, 63, 64, 100, 101, 255, 256, 2**31, 2**32, 2**53, 2**63, 2**64, 10**9, 10**12, 10**30,
    10**400, 0.0, -0.0, 0.5, 1.0, 1.5, 99.9, 100.0, 100.1, -1.5, 1e-5, 1e-45, 1e-100, 1e-320, 5e-324, 1e10, 1e30,
    3.4e38, 1e100, 1e101, 1e200, 1.7e308,
)  # fmt: skip
OTHERS = (None, True, False, [], {}, [[]], [0], ["x"], {"name": "x"}, {"x": 1}, [None], "inf", "nan")


def pick(rng: Rng, options):
    """One of them."""
    return options[int(rng.integers(len(options)))]


def hostile(rng: Rng):
    """A value that is likely wrong where it stands."""
    return copy.deepcopy(pick(rng, (TEXTS, NUMBERS, OTHERS)[int(rng.integers(3))]))


def near(rng: Rng, value):
    """A value of the same kind: a little off, or at an end of its range."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return pick(rng, (value + 1, max(0, value - 1), 0, 1, 2 * value, 10**9))
    if isinstance(value, float):
        return pick(
            rng, (0.0, value / 2, 2 * value, math.nextafter(value, 1e9), 1e-100, 1e100, 1.0, 100.0, 1e-300, -value)
        )
    if isinstance(value, str):
        return pick(rng, (value + "x", value[:-1], value.upper(), "z" * 64, pick(rng, TEXTS)))
    return None


def changed(rng: Rng, content, gentle: bool = False):
    """JSON content with a few of its values changed, dropped, doubled or made hostile. gentle: kept in their kind."""
    content = copy.deepcopy(content)
    for _ in range(int(rng.integers(1, 4))):
        holder, key = _place(rng, content)
        if holder is None:
            return hostile(rng)
        action = int(rng.integers(10))
        if action < (8 if gentle else 3):
            value = near(rng, holder[key])
            holder[key] = holder[key] if value is None else value
        elif action < 7:
            holder[key] = hostile(rng)
        elif action == 7:
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[pick(rng, TEXTS)] = hostile(rng)
    return content


def _place(rng: Rng, content):
    """A random place: its holder and key; each step down is likely."""
    holder, key, value = None, None, content
    while isinstance(value, dict | list) and len(value) and (holder is None or rng.random() < 0.85):
        holder = value
        key = pick(rng, list(value)) if isinstance(value, dict) else int(rng.integers(len(value)))
        value = holder[key]
    return holder, key


def damaged(rng: Rng, data: bytes) -> bytes:
    """Bytes flipped, cut out, doubled, overwritten or appended."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        action, place = int(rng.integers(7)), int(rng.integers(len(data) + 1))
        length = int(rng.integers(1, 1 + max(1, len(data) // 4)))
        if action < 2 and place < len(data):
            data[place] ^= 1 << int(rng.integers(8))
        elif action == 2:
            del data[place:]
        elif action == 3:
            del data[place : place + length]
        elif action == 4:
            data[place:place] = data[place : place + length]
        elif action == 5:
            data[place : place + 8] = pick(rng, (bytes(8), b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0\0\0\x80" * 2))
        else:
            data += rng.integers(0, 256, int(rng.integers(1, 40)), dtype=np.uint8).tobytes()
    return bytes(data)


def garbled(rng: Rng, text: str, alphabet: str = string.printable) -> str:
    """A text with characters changed, dropped, doubled, or pieces of it moved."""
    for _ in range(int(rng.integers(1, 4))):
        place, end = sorted(int(each) for each in rng.integers(0, len(text) + 1, 2))
        middle = pick(
            rng, ("", text[place:end] * 2, pick(rng, list(alphabet)), pick(rng, TEXTS), text[place:end][::-1])
        )
        text = (text[:place] + middle + text[end if rng.random() < 0.5 else place :])[:5000]
    return text


def dumped(content) -> str:
    """JSON of anything, NaN and lone surrogates too."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
