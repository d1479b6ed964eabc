"""The largest eigenvalues and their eigenvectors, against NumPy's of the whole matrix."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradskew.core import eigenpairs
from gradskew.core.eigenpairs import largest_eigenpairs

SHAPES = st.sampled_from([(), (1,), (5,), (2, 3), (0,)])


@given(
    shape=SHAPES,
    n=st.sampled_from([1, 2, 5, 15, 16, 23, 24, 30]),
    rank=st.integers(1, 30),
    count=st.integers(1, 3),
    scale=st.sampled_from([1e-60, 1.0, 1e60]),
    seed=st.integers(0, 2**16),
)
def test_they_are_those_of_the_whole_matrix(shape, n, rank, count, scale, seed):
    """Of matrices of any rank, also of equal eigenvalues: A v = lambda v for vectors at right angles."""
    points = np.random.default_rng(seed).standard_normal((*shape, n, rank))
    matrices = points @ np.swapaxes(points, -1, -2) * scale
    k = min(count, n)
    values, vectors = (each.numpy() for each in largest_eigenpairs(torch.from_numpy(matrices.copy()), count))
    assert values.shape == (*shape, k)
    assert vectors.shape == (*shape, n, k)
    slack = 1e-12 * scale * max(1.0, float(np.abs(matrices / scale).sum(-1).max(initial=0)))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrices)[..., -k:], rtol=0, atol=slack)
    np.testing.assert_allclose(matrices @ vectors, values[..., None, :] * vectors, rtol=0, atol=slack)
    np.testing.assert_allclose(
        np.swapaxes(vectors, -1, -2) @ vectors, np.broadcast_to(np.eye(k), (*shape, k, k)), atol=1e-12
    )


EQUAL = torch.diag(torch.tensor([1.0, 3.0, 3.0, 2.0] * 6))


@pytest.mark.parametrize("matrix", [torch.zeros(4, 4), torch.eye(4), torch.zeros(30, 30), torch.eye(30), EQUAL])
def test_eigenvalues_that_are_equal(matrix):
    matrix = matrix.double()
    values, vectors = largest_eigenpairs(matrix, 2)
    torch.testing.assert_close(values, torch.linalg.eigvalsh(matrix)[-2:])
    torch.testing.assert_close(matrix @ vectors, vectors * values)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(2).double())


def test_the_matrix_stays_and_a_gradient_goes_through():
    """Of diag(x, 1, ..., 1) the largest eigenvalue is x = 2."""
    x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    matrix = torch.diag(torch.stack([x, *torch.ones(29)]))
    before = matrix.detach().clone()
    largest_eigenpairs(matrix.detach())
    assert torch.equal(matrix, before)
    largest_eigenpairs(matrix)[0].sum().backward()
    assert x.grad == 1


def test_where_lapack_finds_too_few_torch_finds_all(monkeypatch):
    """Of one matrix of three: the others stay as they are."""
    points = torch.randn(3, 20, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrices = points @ points.mT
    values, vectors = largest_eigenpairs(matrices)
    whole, calls = eigenpairs.dsyevr, []

    def fails_once(matrix, **options):
        calls.append(0)
        found = whole(matrix, **options)
        return (*found[:2], 0, *found[3:]) if len(calls) == 2 else found

    monkeypatch.setattr(eigenpairs, "dsyevr", fails_once)
    again, axes = largest_eigenpairs(matrices)
    torch.testing.assert_close(again, values)
    torch.testing.assert_close(axes.abs(), vectors.abs())
    assert len(calls) == 3
