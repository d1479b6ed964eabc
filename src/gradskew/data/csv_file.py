"""A user's table in a text file: comma, semicolon or tab, gzipped or not."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.errors import InputError, check
from . import coding
from .column_input import NULLS
from .columns import Columns
from .own_source import OwnFile
from .preparation import Examples

if TYPE_CHECKING:
    import pyarrow

SEPARATORS = ",;\t|"
NO_NAMES = "is its first line one of names?"
HEAD, LINES = 1 << 16, 20  # bytes and lines from which the separator is found
PACKED = {  # by their first bytes, files that pyarrow does not unpack
    b"PK\x03\x04": "it is a zip archive, as Excel's files are: unpack it, or save the table as CSV",
    b"\xd0\xcf\x11\xe0": "it is a file of Excel: save the table as CSV",
    b"\xfd7zXZ\0": "it is packed with xz: unpack it, or pack it with gzip",
    b"PAR1": "it is a parquet file: write parquet: for csv:",
}


@dataclass(frozen=True, kw_only=True)
class CSVFile(OwnFile, Columns):
    """A table of yours in a text file with a line of names: csv:FILE(label=COLUMN,client=COLUMN).

    All other columns are inputs; texts become an input of 0 and 1 for each value. sep: what is between two values;
    None: the one of comma, semicolon, tab and | that the first lines have. decimal: the point of numbers. encoding: of
    the text. A file may be compressed: .gz, .bz2 or .zst.
    """

    key: ClassVar[str] = "csv"
    wanted: ClassVar[str] = "FILE(label=COLUMN,client=COLUMN)"
    sep: str | None = None
    decimal: str = "."
    encoding: str = "utf8"

    def __post_init__(self) -> None:
        Columns.__post_init__(self)
        OwnFile.__post_init__(self)
        for name, value in (("sep", self.sep), ("decimal", self.decimal)):
            one = isinstance(value, str) and len(value.encode()) == 1
            check(one or (value is None and name == "sep"), f"{name} must be one character, not {value!r}")
        try:
            "".encode(self.encoding)
        except (LookupError, TypeError):
            raise InputError(
                f"unknown encoding {self.encoding!r}; utf8, latin1, cp1252 and utf16 are examples"
            ) from None

    def examples(self, train: Sequence[Path], test: Sequence[Path]) -> Examples:
        tables = [self.table(path) for path in train], [self.table(path, in_test=True) for path in test]
        made = self.read_tables(*tables)
        taken = f"{self.label!r} is the name of a column and a value in it: {NO_NAMES}"
        check(self.label not in made.labels.names or coding.number(self.label) is not None, taken)
        return made

    def table(self, path: Path, *, in_test: bool = False) -> pyarrow.Table:
        """Read the columns that count from a file; InputError for what is not such a table.

        in_test: of the test part, which may have no clients.
        """
        import pyarrow
        from pyarrow import csv as arrow

        with _readable(path):
            read = arrow.ReadOptions(encoding=self.encoding)
            parse = arrow.ParseOptions(delimiter=self.sep or self._separator(path), newlines_in_values=True)
            with arrow.open_csv(path, read, parse, self._converted()) as first:
                kinds = {
                    name.strip(): (name, kind)
                    for name, kind in zip(first.schema.names, first.schema.types, strict=True)
                }
                named = [name.strip() for name in first.schema.names if name.strip()]
                check(len(set(named)) == len(named), f"it has {_twice(named)}")
            numbers = any(coding.number(name) is not None for name in named)
            try:
                names = self.needed(list(kinds), in_test=in_test)
            except InputError as error:
                hint = "sep=CHARACTER names what stands between values" if len(kinds) == 1 else NO_NAMES * numbers
                raise InputError(": ".join(filter(None, (str(error), hint)))) from None
            written = [kinds[name][0] for name in names]
            texts = {self.label, self.client, self.text, *self.categories}
            types = {kinds[name][0]: "string" if name in texts else _wider(kinds[name][1]) for name in names}
            try:
                table = arrow.read_csv(path, read, parse, self._converted(types))
            except pyarrow.ArrowInvalid as error:
                if "conversion error" not in str(error):
                    raise
                table = arrow.read_csv(path, read, parse, self._converted(dict.fromkeys(written, "string")))
        return table.rename_columns(names)

    def _converted(self, types: Mapping[str, Any] | None = None) -> Any:
        """Return how values are converted. types: of the columns to read; None: all, by their first values."""
        from pyarrow import csv as arrow

        chosen = {} if types is None else {"column_types": types, "include_columns": list(types)}
        return arrow.ConvertOptions(
            null_values=list(NULLS), strings_can_be_null=True, decimal_point=self.decimal, **chosen
        )

    def _separator(self, path: Path) -> str:
        """Return the separator that divides the first lines into the same number of values, the most of them."""
        import pyarrow

        with pyarrow.input_stream(str(path)) as file:
            head = file.read(HEAD)
        wrong = next((text for start, text in PACKED.items() if head.startswith(start)), "")
        check(not wrong, wrong)
        zeros = b"\0" in head and self.encoding == "utf8"
        utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
        check(not zeros, "it is in UTF-16: encoding=utf16 reads it" if utf16 else "it is no text")
        lines = head.decode(self.encoding, "replace").splitlines()[: LINES + 1]
        lines = lines[:-1] if len(head) == HEAD else lines

        def widths(sep: str) -> list[int]:
            return [len(row) for row in csv.reader(lines, delimiter=sep) if row]

        fitting = [sep for sep in SEPARATORS if len(set(widths(sep))) == 1 and widths(sep)[0] > 1]
        return max(fitting or SEPARATORS, key=lambda sep: widths(sep)[:1])


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise what pyarrow raises in the block as an InputError of one line."""
    import pyarrow

    try:
        yield
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}") from None
    except (pyarrow.ArrowException, OSError, UnicodeError, csv.Error) as error:
        reason = str(error).strip().split("\n")[0][:200]
        utf8 = " (encoding=latin1 reads any bytes)" if "UTF8" in reason or isinstance(error, UnicodeError) else ""
        raise InputError(f"cannot read {str(path)!r}: {reason}{utf8}") from None


def _wider(kind: Any) -> Any:
    """Return the type in which all values of a column are read, from that of the first ones."""
    from pyarrow import types

    if types.is_integer(kind):
        return "float64"  # 3, then 3.5
    return "string" if types.is_null(kind) or types.is_binary(kind) else kind


def _twice(names: Sequence[str]) -> str:
    """Return which of the names is there more than once, as text."""
    name, count = Counter(names).most_common(1)[0]
    ways = NO_NAMES if coding.number(name) is not None else "give each a name of its own"
    return f"{count} columns {name!r}: {ways}"
