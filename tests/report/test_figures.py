"""The pictures of skewed updates: what is drawn where, and what a printer gets."""

import re
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from gradskew.core.errors import InputError
from gradskew.report.figures import draw_picture, lle_figure
from gradskew.skew import Picture

PLAIN = Picture(17, "lle", ((0.0, 1.0), (2.0, 3.0), (4.0, 6.0)), (False, True, False), (5.0, 5.5))
FORGED = replace(PLAIN, round=4, byzantine=((-1.0, 7.0), (-1.0, 7.0)))


def streams(pdf: bytes) -> str:
    """What the pages of a PDF draw, in its own language."""
    found = re.findall(rb"FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    return "\n".join(zlib.decompress(each).decode("latin-1") for each in found)


def texts(pdf: bytes) -> list[str]:
    """The lines of text in a PDF, their kerned parts joined."""
    blocks = re.findall(r"BT\n(.*?)\nET", streams(pdf), re.DOTALL)
    parts = [re.findall(r"\(((?:\\.|[^\\)])*)\)", block) for block in blocks]
    return ["".join(each).replace("\0", "") for each in parts]  # one byte for a character, or two


def test_each_kind_of_point_is_where_it_belongs_and_has_its_own_look() -> None:
    handles = draw_picture(Figure().subplots(), replace(FORGED, aggregate=(8.0, 9.0)), "round 3", "STRIKE's")
    drawn = {handle.get_label(): np.asarray(handle.get_offsets()).tolist() for handle in handles}
    assert drawn == {
        "skewed honest updates": [[2, 3]],
        "other honest updates": [[0, 1], [4, 6]],
        "mean of all honest updates": [[5, 5.5]],
        "STRIKE's updates": [[-1, 7], [-1, 7]],
        "aggregate of the rule": [[8, 9]],
    }
    skewed, other, mean, forged, aggregate = handles
    assert len(skewed.get_facecolor()) == 1
    assert len(other.get_facecolor()) == 0  # hollow: told from the filled ones without colour
    shapes = [len(handle.get_paths()[0].vertices) for handle in (skewed, mean, forged, aggregate)]
    assert len(set(shapes)) == 4
    assert mean.get_sizes() > 4 * skewed.get_sizes()
    blue, green, pink = (to_rgba(handle.get_facecolor()[0]) for handle in (skewed, mean, forged))
    assert (np.argmax(blue[:3]), np.argmax(green[:3]), np.argmax(pink[:3])) == (2, 1, 0)


def test_without_forged_rows_the_legend_does_not_speak_of_them() -> None:
    assert len(draw_picture(Figure().subplots(), PLAIN, "round 3", "STRIKE's")) == 3
    assert not any("STRIKE" in text for text in texts(lle_figure([PLAIN], "title")["pdf"]))


def test_panels_are_named_after_rounds_or_as_one_likes() -> None:
    assert f"round {PLAIN.round}" in texts(lle_figure([PLAIN], "title")["pdf"])
    said = texts(lle_figure([FORGED] * 2, "title", names=["before", "after"], sender="Byzantine")["pdf"])
    assert {"before", "after", "Byzantine updates"} <= set(said)


def test_a_round_without_other_rows_can_be_drawn() -> None:
    skewed, other, _ = draw_picture(Figure().subplots(), replace(PLAIN, skewed=(True,) * 3), "", "")
    assert (len(skewed.get_offsets()), len(other.get_offsets())) == (3, 0)


def test_a_panel_each_and_one_legend() -> None:
    found = texts(lle_figure([PLAIN, FORGED, PLAIN, PLAIN], "digits", columns=3)["pdf"])
    kinds = ["skewed honest updates", "other honest updates", "mean of all honest updates", "STRIKE's updates"]
    assert sorted(found) == sorted(["digits", "round 17", "round 4", "round 17", "round 17", *kinds])


@pytest.mark.parametrize(("count", "columns", "inches"), [(6, 3, 7.0), (2, 3, 7.0), (1, 3, 3.4), (3, 1, 3.4)])
def test_the_size_in_print(count: int, columns: int, inches: float) -> None:
    figure = lle_figure([FORGED] * count, "title", columns=columns)
    [box] = re.findall(rb"/MediaBox \[\s*0 0 ([\d.]+) ([\d.]+)", figure["pdf"])
    assert float(box[0]) == pytest.approx(72 * inches)
    assert struct.unpack(">II", figure["png"][16:24])[0] == 300 * inches
    sizes = [float(size) for size in re.findall(r"/\S+ ([\d.]+) Tf", streams(figure["pdf"]))]
    assert min(sizes) >= 7


def test_the_pdf_is_vector_with_embedded_truetype() -> None:
    pdf = lle_figure([FORGED], "title")["pdf"]
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"/Subtype /Image" not in pdf


def test_the_same_embeddings_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    first = lle_figure([PLAIN, FORGED], "title")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")  # a date, if there were one, would be this
    assert lle_figure([PLAIN, FORGED], "title") == first
    assert b"Date" not in first["pdf"]


def test_a_title_is_taken_literally() -> None:
    assert "mlp of $x_1$" in texts(lle_figure([PLAIN], "mlp of $x_1$")["pdf"])


def test_a_long_title_stays_inside() -> None:
    words = "Fashion-MNIST, 100 clients, Dirichlet beta 0.5, mlp with 100 hidden units, seed 0"
    pdf = lle_figure([FORGED], words)["pdf"]
    title = [text for text in texts(pdf) if text in words]
    assert len(title) >= 2
    assert " ".join(title) == words


def test_what_cannot_be_drawn_is_one_line() -> None:
    with pytest.raises(InputError, match="at least one picture"):
        lle_figure([], "title")
    with pytest.raises(InputError, match="columns"):
        lle_figure([PLAIN], "title", columns=0)
