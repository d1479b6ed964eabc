"""How much clients differ over a run: pairs (G, B) and labels, by hand and by their definitions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradskew.skew import measure
from gradskew.skew.heterogeneity import (
    Pair,
    effective_classes,
    holders,
    label_distance,
    most_divergence,
    pairs,
    unit_mean,
)

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


def test_the_mean_direction_by_hand() -> None:
    """(2, 0) and (0, 5) become (1, 0) and (0, 1), whose mean is sqrt(2) / 2 long; one row has no pair."""
    assert measure(torch.tensor([[2.0, 0.0], [0.0, 5.0]])).unit_mean == pytest.approx(math.sqrt(0.5))
    assert measure(torch.tensor([[2.0, 0.0], [-4.0, 0.0]])).unit_mean == pytest.approx(0, abs=1e-6)
    assert measure(torch.tensor([[2.0, 0.0]])).unit_mean is None
    assert unit_mean(0.0, 2) == unit_mean(1 / 3, 4) == pytest.approx(math.sqrt(0.5))


@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 1000))
def test_the_mean_direction_against_its_definition(h: int, d: int, seed: int) -> None:
    rows = torch.randn(h, d, generator=torch.Generator().manual_seed(seed)).double() + 0.3
    units = rows / rows.norm(dim=1, keepdim=True)
    assert measure(rows).unit_mean == pytest.approx(float(units.mean(0).norm()), abs=1e-6)


def test_rows_of_one_length_have_a_divergence_from_their_mean_direction() -> None:
    """Of units, |mean| is the unit mean r, and spread^2 = 1 - r^2. At 10 of 50: sqrt(16 - 1)."""
    units = torch.nn.functional.normalize(torch.randn(20, 5, generator=torch.Generator().manual_seed(0)).double() + 0.4)
    found = measure(units)
    assert most_divergence(found.unit_mean) == pytest.approx(found.relative_divergence)
    assert most_divergence(10 / 40) == pytest.approx(math.sqrt(15))
    assert most_divergence(2.0) == 0


@given(st.integers(2, 12), st.integers(1, 12), st.floats(0, 2), st.integers(0, 1000))
def test_clipped_rows_make_progress_only_above_the_line(h: int, f: int, shift: float, seed: int) -> None:
    """f rows against the honest ones' mean direction, all of the least honest length: the mean's sign along it."""
    honest = torch.randn(h, 3, generator=torch.Generator().manual_seed(seed)).double() + shift
    radius = honest.norm(dim=1).min()
    clipped = honest * (radius / honest.norm(dim=1, keepdim=True))
    ratio, found = f / h, measure(honest).unit_mean
    if abs(found - ratio) < 1e-6 or found < 1e-6:
        return
    along = clipped.mean(0) / clipped.mean(0).norm()
    aggregate = torch.cat([clipped, -radius * along.expand(f, -1)]).mean(0)
    assert (float(aggregate @ along) > 0) == (found > ratio)


def test_holders_by_hand() -> None:
    """Of 10 images 6, 3 and 1: half is with one, 90 % with two; of none with nobody; of 1, 1, 1 with two and three."""
    counts = [[6, 0, 1], [3, 0, 1], [1, 0, 1]]
    assert holders(counts, 0.5) == [1, 0, 2]
    assert holders(counts, 0.9) == [2, 0, 3]
    assert holders([[10]], 0.9) == [1]


@given(st.lists(st.lists(st.integers(0, 40), min_size=2, max_size=2), min_size=1, max_size=9))
def test_holders_are_the_fewest_that_hold_so_much(counts: list[list[int]]) -> None:
    for share, part, whole in ((0.5, 1, 2), (0.9, 9, 10)):
        for label, number in enumerate(holders(counts, share)):
            images = sorted((of[label] for of in counts), reverse=True)
            enough = [k for k in range(len(counts) + 1) if whole * sum(images[:k]) >= part * sum(images)]
            assert number == enough[0]
