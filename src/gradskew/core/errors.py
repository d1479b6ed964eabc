"""Checks of input, each with one clear sentence, and warnings."""

from __future__ import annotations

import difflib
import math
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

ROUNDING = Fraction(1, 2**24)  # of a float32, relative
STRENGTH = 1e30  # largest factor that an option may be: beyond it float32 overflows


class InputError(ValueError):
    """An error that the user can correct. The command line prints it as one line and exits with status 2."""


class MethodError(InputError):
    """An error that a rule or an attack raises. kind: `rule` or `attack`."""

    def __init__(self, message: str, kind: str = ""):  # pickle restores `kind` after the call
        super().__init__(message)
        self.kind = kind


@contextmanager
def raised_by(kind: str) -> Iterator[None]:
    """Raise an InputError of the body as a MethodError of this kind; one that has a kind keeps it."""
    try:
        yield
    except MethodError:
        raise
    except InputError as error:
        raise MethodError(str(error), kind) from error


def warn(line: str) -> None:
    """Print a line to stderr; a closed stderr is ignored."""
    with suppress(OSError, ValueError):  # a broken pipe; a closed file
        if sys.stderr is not None:
            print(line, file=sys.stderr)


def os_error_text(error: OSError) -> str:
    """Return an error of the operating system as text: the file, and the reason."""
    known = error.filename is not None and error.strerror
    return f"{str(error.filename)!r}: {error.strerror}" if known else str(error)


def check(condition: bool, message: str) -> None:
    """Raise `InputError(message)` unless the condition holds."""
    if not condition:
        raise InputError(message)


def plain(value: Any) -> Any:
    """Return a scalar of NumPy or torch as Python's own, also in a tuple; other values as they are.

    A float of fewer than 64 bits becomes the shortest decimal that it stands for: a float32 of 0.1 is 0.1, and not
    0.10000000149011612, so that names and digests are those of 0.1.
    """
    if type(value) is tuple:
        return tuple(map(plain, value))
    if getattr(value, "ndim", None) != 0 or not hasattr(value, "item"):
        return value
    exact = value.item()
    if not isinstance(exact, float) or value.dtype.itemsize >= 8:
        return exact
    rounded = value.new_tensor if hasattr(value, "new_tensor") else value.dtype.type
    shorter = (float(f"{exact:.{digits}g}") for digits in range(1, 10))  # nine digits tell all float32 apart
    return next((short for short in shorter if rounded(short) == value), exact)


def check_number(
    name: str,
    value: Any,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
    whole: bool = False,
) -> Any:
    """Return the value as Python's own number; InputError unless it is finite, within the bounds, and whole if asked.

    A bool is no number; NumPy's numbers are.
    """
    value = plain(value)
    kind = "a whole number" if whole else "a number"
    good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    largest = math.inf if whole else sys.float_info.max
    check(good and abs(value) <= largest, f"{name} must be {kind}, not {value!r}")
    bounds = ((at_least, "at least"), (above, "above"), (at_most, "at most"), (below, "below"))
    wanted = " and ".join(f"{word} {bound}" for bound, word in bounds if math.isfinite(bound))
    inside = at_least <= value <= at_most and above < value < below
    check(inside, f"{name} must be {wanted}, not {value!r}")
    return value


def check_count_or_share(name: str, value: Any) -> Any:
    """Return the value as Python's own number; InputError unless it is a count, 0, 1, ..., or a share below 1."""
    value = plain(value)
    good = (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value < 1)
    check(good, f"{name} must be a whole number, or a share below 1, not {value!r}")
    return check_number(name, value, at_least=0)


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> None:
    """Raise InputError unless value is one of the choices, of the same type (True is not 1)."""
    choices, value = list(choices), plain(value)
    good = any(value == choice and type(value) is type(choice) for choice in choices)
    check(good, f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}")


def unknown(kind: str, name: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> InputError:
    """Return the error for an unknown name; its message suggests the nearest known name or alias and lists the names.

    aliases: what each alias stands for. `none`, the name of nothing, is never suggested.
    """
    known, meaning = list(known), aliases or {}
    candidates = [each for each in (*known, *meaning) if each != "none"]
    near = difflib.get_close_matches(str(name).lower(), candidates, n=1, cutoff=0.5)
    meant = f" ({meaning[near[0]]})" if near and near[0] in meaning else ""
    hint = f"did you mean {near[0]!r}{meant}? " if near else ""
    return InputError(f"unknown {kind} {name!r}; {hint}known: {', '.join(known)}")


def out_of_memory(error: Exception) -> bool:
    """Return whether an error says that torch could not allocate memory."""
    phrases = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")  # of torch's messages
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)


def clear_frames(error: BaseException) -> None:
    """Free what the functions held that an error ended, such as the rows of a run; its traceback can still be shown."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()  # an error may be its own cause
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            waiting += [each.__cause__, each.__context__]


def ceil_share(share: float, count: int) -> int:
    """Return `share * count` rounded up, with the share as the decimal that was written: 0.07 of 100 is 7, not 8.

    The share may have been rounded to float32, as 0.2 to 0.20000000298023224.

    >>> ceil_share(0.07, 100), ceil_share(0.2, 51), ceil_share(0.20000000298023224, 50)
    (7, 11, 10)
    """
    return math.ceil(_decimal(share) * count)


def floor_share(share: float, count: int) -> int:
    """Return `share * count` rounded down, with the share as the decimal that was written: 0.29 of 100 is 29, not 28.

    >>> floor_share(0.29, 100)
    29
    """
    return math.floor(_decimal(share) * count)


def _decimal(share: float) -> Fraction:
    """Return a share as the decimal number that was written, also if it was rounded to float32 since."""
    exact, short = Fraction(str(share)), Fraction(f"{share:.7g}")
    return short if abs(short - exact) <= exact * ROUNDING else exact
