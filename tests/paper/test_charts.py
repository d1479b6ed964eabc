"""Charts of sheets: what is drawn where."""

import io

import pytest
from matplotlib.figure import Figure
from PIL import Image

from gradskew.paper import charts
from gradskew.paper.sheets import Sheet
from gradskew.runs.record import Record


def sheet(title: str = "", rows: str = "ab", columns: str = "xyz", seeds: int = 1) -> Sheet:
    """The accuracy in row i, column j is 10 i + j, and higher by 2 with each seed."""
    records = {
        (row, column): [Record({"seed": s}, [{"accuracy": 10.0 * i + j + 2 * s}], "0" * 64) for s in range(seeds)]
        for i, row in enumerate(["STRIKE" if row == "S" else row for row in rows])
        for j, column in enumerate(columns)
    }
    return Sheet(title, "attack", "rule", records, {})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch):
    """Draw a chart and return the figure itself."""

    def draw(*sheets: Sheet, rows_along: bool = False, joined: bool = True) -> Figure:
        figures = []
        monkeypatch.setattr(charts, "_save", lambda figure, kind: figures.append(figure) or b"")
        charts.chart(sheets, "a $title", rows_along=rows_along, joined=joined)
        return figures[0]

    return draw


def series(axes) -> dict[str, list[float]]:
    return {line.get_label(): list(line.lines[0].get_ydata()) for line in axes.containers}


def test_rows_are_series_over_the_columns(drawn) -> None:
    (axes,) = drawn(sheet()).axes
    assert series(axes) == {"a": [0.0, 1.0, 2.0], "b": [10.0, 11.0, 12.0]}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y", "z"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("rule", "test accuracy in %")


def test_columns_are_series_where_the_rows_stand_along_the_axis(drawn) -> None:
    (axes,) = drawn(sheet(), rows_along=True).axes
    assert series(axes) == {"x": [0.0, 10.0], "y": [1.0, 11.0], "z": [2.0, 12.0]}
    assert axes.get_xlabel() == "attack"


def test_a_missing_cell_leaves_a_gap_at_its_own_place(drawn) -> None:
    whole = sheet()
    part = Sheet("", "attack", "rule", {**whole.records, ("a", "y"): []}, {})
    first = drawn(part).axes[0].containers[0].lines[0]
    assert list(first.get_ydata()) == [0.0, 2.0]
    assert [round(x) for x in first.get_xdata()] == [0, 2]


def test_bars_span_a_standard_deviation_over_seeds(drawn) -> None:
    """Accuracies 0 and 2: mean 1, and a sample standard deviation of the root of 2."""
    (axes,) = drawn(sheet(rows="a", columns="x", seeds=2)).axes
    ((low, high),) = [segment[:, 1] for segment in axes.containers[0].lines[2][0].get_segments()]
    assert (low, high) == pytest.approx((1 - 2**0.5, 1 + 2**0.5))


def test_strike_stands_out_and_series_differ_in_their_markers(drawn) -> None:
    lines = [container.lines[0] for container in drawn(sheet(rows="abcdefS")).axes[0].containers]
    assert lines[-1].get_color() == charts.STRIKE_COLOUR
    assert lines[-1].get_linewidth() > max(line.get_linewidth() for line in lines[:-1])
    assert len({line.get_marker() for line in lines}) == 7
    assert len({line.get_color() for line in lines}) == 7


def test_one_panel_a_sheet_and_no_more(drawn) -> None:
    figure = drawn(*(sheet(title) for title in "pqrst"))
    assert [axes.get_title() for axes in figure.axes if axes.axison] == list("pqrst")
    assert [len(figure.legends), len(figure.legends[0].get_texts())] == [1, 2]


def test_the_same_sheets_give_the_same_bytes_and_a_hostile_title_is_text() -> None:
    first, second = (charts.chart([sheet()], r"$\frac{", rows_along=False, joined=False) for _ in range(2))
    assert first == second
    assert first["pdf"].startswith(b"%PDF")
    assert Image.open(io.BytesIO(first["png"])).size == (1400, 720)
