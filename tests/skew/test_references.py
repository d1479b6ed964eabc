"""The sentence that compares measures of skew with their references."""

import pytest

from gradskew.skew.references import MEASURES, reading
from gradskew.skew.statistics import Estimate

KNOWN = {measure.key: measure for measure in MEASURES}
OTHER = "The references are of 40 honest updates a round and f = 10: these have other numbers, and are not compared"


def beyond(key: str, value: float, low: float | None, high: float | None) -> str:
    return reading([(KNOWN[key], Estimate(value, low, high))], [(40, 10)])


@pytest.mark.parametrize(
    ("key", "value", "low", "high", "counts", "far"),
    [  # `above`: 0.52 to 0.55 on even data, 0.62 to 0.72 on uneven; `skewness`: -0.76 to -0.18, and -3.24 to -1.27
        ("above", 0.64, 0.56, 0.70, 1, 0),
        ("above", 0.66, 0.63, 0.70, 1, 1),
        ("above", 0.66, 0.54, 0.75, 0, 0),
        ("skewness", -1.2, -1.6, -0.8, 1, 0),
        ("skewness", -1.6, -2.0, -1.3, 1, 1),
        ("skewness", -1.6, -2.0, -0.7, 0, 0),
    ],
)
def test_a_measure_counts_with_its_whole_interval(key, value, low, high, counts, far):
    said = f"Beyond even (IID) data with their whole interval: {counts} of 1 measures; "
    assert beyond(key, value, low, high) == said + f"as far as very uneven data (Dirichlet 0.1): {far}."


def test_a_measure_without_an_interval_does_not_count():
    assert "0 of 0 measures" in beyond("density", 9.0, None, None)


@pytest.mark.parametrize("sizes", [[(8, 2)], [(40, 9)], [(50, 10)], [(40, 10), (39, 10)], []])
def test_other_numbers_of_clients_are_not_compared(sizes):
    assert reading([(KNOWN["above"], Estimate(0.9, 0.8, 0.95))], sizes).startswith(OTHER)
