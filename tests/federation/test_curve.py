"""The end of a learning curve: which rounds are averaged, and whether it still rises."""

import numpy as np
import pytest

from gradskew.federation.curve import at_end, describe_end, last_rounds, still_rises


@pytest.mark.parametrize(("rounds", "last"), [(60, 5), (25, 5), (21, 5), (20, 4), (6, 2), (5, 1), (1, 1)])
def test_a_fifth_of_the_rounds_counts_five_at_most(rounds, last) -> None:
    assert last_rounds(rounds) == last
    values = [float(number) for number in range(rounds)]
    assert at_end(values, rounds) == sum(values[-last:]) / last


def test_the_end_in_words() -> None:
    assert describe_end(6) == "mean of the last 2 of 6 rounds"
    assert describe_end(1) == "after the last of 1 round"


def rises(*values: float) -> bool:
    return still_rises(range(len(values)), values)


def test_a_line_rises_if_a_tenth_more_rounds_adds_more_than_a_point() -> None:
    """Ten rounds: one round more adds the slope."""
    assert rises(*(50 + 1.01 * number for number in range(10)))
    assert not rises(*(50 + 0.99 * number for number in range(10)))
    assert not rises(*(50 - 2.0 * number for number in range(10)))
    assert not rises(*[50.0] * 10)


def test_the_slope_must_be_beyond_the_scatter_by_hand() -> None:
    """x = -2 .. 2, residuals a (1, -1, 0, -1, 1): squares sum to 4 a^2, so s / sqrt(10) = a sqrt(4 / 30).

    Student's 95 % quantile for 3 degrees of freedom is 2.3534: a slope of 3 is beyond 0.8593 a up to a = 3.491.
    """
    for a, wanted in ((3.45, True), (3.53, False)):
        assert rises(*(50 + 3 * x + a * r for x, r in zip(range(-2, 3), (1, -1, 0, -1, 1), strict=True))) is wanted


def test_the_first_two_thirds_do_not_count() -> None:
    assert not rises(*range(0, 80, 2), *[80.0] * 20)
    assert rises(*[20.0] * 40, *range(20, 60, 2))


def test_short_curves() -> None:
    assert not rises()
    assert not rises(50.0)
    assert rises(20.0, 60.0)
    assert not rises(60.0, 20.0)
    assert rises(63.4, 68.0, 72.0, 76.0, 80.0, 83.1)


def test_rounds_without_a_test_are_only_gaps() -> None:
    """Of 60 rounds every tenth and the last five are tested: the line is through those, at their rounds."""
    rounds = [9, 19, 29, 39, 49, 55, 56, 57, 58, 59]
    assert still_rises(rounds, [number / 2 for number in rounds])
    assert not still_rises(rounds, [number / 8 for number in rounds])


def test_few_flat_curves_are_taken_for_rising_ones() -> None:
    """Scatter alone: 5 % at most, by the quantile."""
    draws = np.random.default_rng(0).normal(80, 5, (2000, 30))
    found = [still_rises(range(30), curve) for curve in draws]
    assert sum(found) <= 0.065 * 2000
