"""How much clients differ over a run: pairs (G, B) and labels, by hand and by their definitions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradskew.skew.heterogeneity import Pair, effective_classes, label_distance, pairs

LENGTHS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), min_size=1, max_size=12)


def of_points(*points: tuple[float, float]):
    """The pairs of rounds with these (|mean|^2, mean |g_i|^2)."""
    return pairs([math.sqrt(x) for x, _ in points], [math.sqrt(y - x) for x, y in points])


def approx(pair: Pair | None):
    return (pytest.approx(pair.constant, rel=1e-9, abs=1e-9), pytest.approx(pair.factor, rel=1e-9))


def test_one_round_by_hand() -> None:
    """Rows 1 and 3: 5 <= B^2 4, or 5 <= G^2 + 4; one round has no edge."""
    found = of_points((4, 5))
    assert approx(found.without_g) == (0, math.sqrt(5) / 2)
    assert approx(found.with_b_one) == (1, 1)
    assert found.between is None


def test_three_rounds_by_hand() -> None:
    """(1, 3), (4, 9), (9, 10): y / x is 3 at most, y - x is 5; the edge that ends at x = 4 has y = 1 + 2 x."""
    found = of_points((4, 9), (1, 3), (9, 10))
    assert approx(found.without_g) == (0, math.sqrt(3))
    assert approx(found.with_b_one) == (math.sqrt(5), 1)
    assert approx(found.between) == (1, math.sqrt(2))


def test_a_point_below_the_hull_is_no_corner() -> None:
    """(4, 5) lies below the line from (1, 3) to (9, 19), y = 1 + 2 x."""
    assert approx(of_points((1, 3), (4, 5), (9, 19)).between) == (1, math.sqrt(2))


def test_a_flat_edge_gives_b_one_and_a_steep_one_no_g() -> None:
    assert approx(of_points((1, 9), (4, 9.5)).between) == (math.sqrt(8), 1)
    assert approx(of_points((1, 2), (4, 20)).between) == (0, math.sqrt(5))


def test_no_round_and_a_mean_of_zeros() -> None:
    assert pairs([], []) is None
    found = pairs([0.0, 1.0], [2.0, 1.0])
    assert found.without_g is None
    assert approx(found.with_b_one) == (2, 1)
    assert approx(found.between) == (2, 1)


@given(LENGTHS)
def test_a_pair_holds_in_each_round_and_none_is_smaller(rounds: list[tuple[int, int]]) -> None:
    """Each pair touches a point, so that a smaller G with the same B fails, as does a smaller B unless it is 1."""
    found = pairs([float(norm) for norm, _ in rounds], [float(spread) for _, spread in rounds])
    for pair in filter(None, (found.without_g, found.with_b_one, found.between)):
        left = [pair.constant**2 + (pair.factor**2 - 1) * norm**2 - spread**2 for norm, spread in rounds]
        assert min(left) == pytest.approx(0, abs=1e-6)
        assert pair.factor >= 1
        assert pair.constant >= 0


def test_labels_by_hand() -> None:
    """All images: 6 and 2 of 8, or 3/4 and 1/4. The clients have (1, 0), 1/4 away, and (1/2, 1/2), 1/4 away."""
    counts = [[4, 0], [2, 2]]
    assert label_distance(counts) == 0.25
    assert effective_classes(counts) == pytest.approx((1 + 2) / 2)
    assert effective_classes([[1, 3]]) == pytest.approx(4 / 3**0.75)  # entropy ln 4 - 3/4 ln 3
    assert label_distance([[4, 0], [0, 0], [2, 2]]) == 0.25
    assert label_distance([[0, 0]]) is None
    assert effective_classes([]) is None


@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=6))
def test_labels_are_within_their_limits(counts: list[list[int]]) -> None:
    distance, classes = label_distance(counts), effective_classes(counts)
    assert (distance is None) == (sum(map(sum, counts)) == 0)
    if distance is not None:
        assert 0 <= distance <= 1 - 1 / 6 + 1e-12
        assert 1 - 1e-12 <= classes <= 3 + 1e-12
        assert label_distance([[2 * count for count in of] for of in counts]) == pytest.approx(distance)
