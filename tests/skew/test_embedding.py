"""Rows in the plane: against scikit-learn's embedding and NumPy's components of the full rows in float64."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.manifold import LocallyLinearEmbedding
from torch import Tensor

from gradskew.core.errors import InputError
from gradskew.core.rows import Rows
from gradskew.skew import Picture, embed, pictures
from gradskew.skew.embedding import isometric


def rows_of(n: int, d: int, seed: int = 0) -> Tensor:
    """Rows around a common offset, of unequal lengths, as the updates of clients with more and with less data."""
    rng = torch.Generator().manual_seed(seed)
    return 3 + torch.randn(n, d, generator=rng) * torch.linspace(0.5, 1.5, n)[:, None]


def oracle(points: Tensor, neighbours: int = 5) -> np.ndarray:
    """scikit-learn's embedding of the points themselves."""
    lle = LocallyLinearEmbedding(n_neighbors=neighbours, n_components=2, eigen_solver="dense")
    return lle.fit_transform(points.double().numpy())


def with_mean(honest: Tensor, *more: Tensor) -> Tensor:
    return torch.cat([honest.double(), honest.double().mean(0, keepdim=True), *(rows.double() for rows in more)])


def same_up_to_signs(got: np.ndarray, wanted: np.ndarray) -> None:
    assert got.shape == wanted.shape
    signs = np.sign((got * wanted).sum(0))
    np.testing.assert_allclose(got, wanted * signs, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("n", "d"), [(30, 500), (30, 12), (40, 2)])
def test_the_embedding_is_that_of_the_full_rows(n: int, d: int) -> None:
    honest, forged = rows_of(n, d), rows_of(3, d, seed=1)
    same_up_to_signs(embed(honest), oracle(with_mean(honest)))
    same_up_to_signs(embed(honest, forged), oracle(with_mean(honest, forged)))
    same_up_to_signs(embed(honest, forged, neighbours=8), oracle(with_mean(honest, forged), 8))


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e30])
def test_isometric_keeps_distances(scale: float) -> None:
    rows = rows_of(20, 300) * scale
    points = torch.from_numpy(isometric(Rows(rows).squared_distances.numpy()))
    assert points.shape == (20, 20)
    wanted = torch.cdist(rows.double(), rows.double())
    torch.testing.assert_close(torch.cdist(points, points), wanted, rtol=1e-9, atol=1e-9 * scale)


def test_equal_rows_are_one_point() -> None:
    honest, row = rows_of(30, 50), rows_of(1, 50, seed=1)
    copies = torch.cat([honest, honest[:10]])
    points = embed(copies, row.expand(7, -1))
    assert (points[30:40] == points[:10]).all()
    assert (points[41:] == points[41]).all()
    wanted = oracle(torch.cat([honest.double(), copies.double().mean(0, keepdim=True), row.double()]))
    same_up_to_signs(np.vstack([points[:30], points[40:42]]), wanted)


def test_a_mean_that_is_a_row_but_for_rounding_is_its_point() -> None:
    spread = rows_of(10, 40) - 3
    centre = torch.full((1, 40), 0.1)
    honest = torch.cat([centre + spread, centre, centre - spread]).double()
    assert not torch.equal(honest.mean(0), honest[10])
    points = embed(honest)
    assert (points[21] == points[10]).all()
    same_up_to_signs(points[:21], oracle(honest))


def test_few_distinct_rows_are_one_line() -> None:
    honest = rows_of(4, 30)
    for rows in (honest, honest.repeat(5, 1)):
        with pytest.raises(InputError, match=r"^only 5 of the updates .* distinct: LLE with 5 neighbours needs 6$"):
            embed(rows)
    assert embed(rows_of(5, 30)).shape == (6, 2)
    assert embed(honest, neighbours=4).shape == (5, 2)
    with pytest.raises(InputError, match="only 1 of"):
        embed(torch.ones(20, 4))
    with pytest.raises(InputError, match=r"^only 2 of .* LLE with 1 neighbours needs 3$"):
        embed(torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 1.0]]), neighbours=1)


def test_what_cannot_be_embedded_is_one_line() -> None:
    with pytest.raises(InputError, match="not finite"):
        embed(rows_of(9, 4) / 0)
    with pytest.raises(InputError, match=r"honest must have the shape"):
        embed(torch.zeros(0, 4))
    with pytest.raises(InputError, match="columns"):
        embed(rows_of(9, 4), rows_of(2, 5))
    with pytest.raises(InputError, match="neighbours"):
        embed(rows_of(9, 4), neighbours=0)


def test_the_embedding_is_repeatable_whatever_the_threads_and_the_order() -> None:
    honest = rows_of(30, 100)
    points = embed(honest)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        again = embed(honest)
    finally:
        torch.set_num_threads(before)
    assert points.tobytes() == again.tobytes()
    np.testing.assert_allclose(embed(honest.flip(0))[:30], points[:30][::-1], atol=1e-9)
    assert (points.max(0) == np.abs(points).max(0)).all()


SMALL = Picture(3, "lle", ((0.1, -2.0), (1e-17, 0.5)), (True, False), (0.0, 1.0), ((0.25, 0.0),) * 2, (0.5, 0.75))


def test_json_and_back() -> None:
    for picture in (SMALL, replace(SMALL, byzantine=(), aggregate=None, method="pca")):
        text = json.dumps(picture.to_json(), allow_nan=False)
        assert Picture.from_json(json.loads(text)) == picture
    assert json.loads(text)["honest"] == [[0.1, -2.0], [1e-17, 0.5]]


@pytest.mark.parametrize(
    "change",
    [
        {"round": -1},
        {"round": 1.5},
        {"round": None},
        {"method": "tsne"},
        {"method": None},
        {"honest": [[0.1, -2.0]]},
        {"honest": [[0.1, -2.0, 3.0], [0.0, 0.5]]},
        {"honest": [["0.1", -2.0], [0.0, 0.5]]},
        {"honest": [[float("nan"), -2.0], [0.0, 0.5]]},
        {"honest": [0.1, -2.0]},
        {"honest": [], "skewed": []},
        {"skewed": [True]},
        {"skewed": [1, 0]},
        {"skewed": None},
        {"mean": [0.0]},
        {"mean": [0.0, float("inf")]},
        {"byzantine": [[0.25]]},
        {"byzantine": 5},
        {"byzantine": None},
        {"aggregate": 7},
        {"aggregate": [0.0, "x"]},
    ],
    ids=str,
)
def test_a_damaged_picture_is_a_value_error(change: dict[str, Any]) -> None:
    content = json.loads(json.dumps(SMALL.to_json()))
    with pytest.raises(ValueError, match="not a picture"):
        Picture.from_json({**content, **change})


def test_what_is_no_picture_at_all_is_a_value_error() -> None:
    content = SMALL.to_json()
    del content["byzantine"]
    for wrong in (content, [], None, "text"):
        with pytest.raises(ValueError, match="not a picture"):
            Picture.from_json(wrong)


def test_the_rows_of_a_round_by_both_methods() -> None:
    """LLE is that of all points; PCA projects them on the components of the honest rows alone."""
    honest, byzantine = rows_of(20, 60), rows_of(1, 60, seed=1).expand(4, -1)
    updates, mask = torch.cat([byzantine, honest]), [i < 15 for i in range(20)]
    aggregate = updates.median(0).values
    by_lle, by_pca = pictures(7, Rows(updates), 4, mask, aggregate)
    assert (by_lle.round, by_lle.method, by_pca.method) == (7, "lle", "pca")
    for picture in (by_lle, by_pca):
        assert picture.skewed == tuple(mask)
        assert len(set(picture.byzantine)) == 1
        assert len(picture.byzantine) == 4
    mean = honest.double().mean(0, keepdim=True)
    every = torch.cat([honest.double(), mean, byzantine[:1].double(), aggregate[None].double()])
    got = np.array([*by_lle.honest, by_lle.mean, by_lle.byzantine[0], by_lle.aggregate])
    wanted = oracle(every)
    np.testing.assert_allclose(got, wanted * np.sign((got * wanted).sum(0)), rtol=0, atol=1e-4)

    centred = (every - mean).numpy()
    spread = np.sqrt((centred[:20] ** 2).sum(1).mean())
    axes = np.linalg.svd(centred[:20])[2][:2]
    wanted = centred @ axes.T / spread
    got = np.array([*by_pca.honest, by_pca.mean, by_pca.byzantine[0], by_pca.aggregate])
    np.testing.assert_allclose(got, wanted * np.sign((got * wanted).sum(0)), rtol=0, atol=1e-4)
    assert by_pca.mean == (0, 0)


def test_a_method_that_cannot_show_the_rows_is_left_out() -> None:
    few = rows_of(4, 30)
    assert [picture.method for picture in pictures(0, Rows(few), 0, [True] * 4, None)] == ["pca"]
    assert next(pictures(0, Rows(few), 0, [True] * 4, None)).aggregate is None
    assert not list(pictures(0, Rows(torch.ones(9, 4)), 0, [True] * 9, None))
    line = torch.arange(9.0)[:, None] * torch.ones(1, 4)  # one component only
    (by_pca,) = (picture for picture in pictures(0, Rows(line), 0, [True] * 9, None) if picture.method == "pca")
    assert {y for _, y in by_pca.honest} == {0}


def test_a_great_many_rows_are_not_drawn() -> None:
    assert not list(pictures(0, Rows(torch.zeros(1001, 2)), 0, [True] * 1001, None))
