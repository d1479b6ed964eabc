"""The step of SGD against torch.optim in float64, in torch's operators and in the compiled kernel."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gradskew.core import rows
from gradskew.core.numerics import fixed_threads
from gradskew.federation.optimizer import SGD

pytestmark = pytest.mark.xdist_group("kernels")  # one worker waits for the compiler
SETTINGS = st.builds(
    SGD,
    lr=st.sampled_from([0.01, 0.3]),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    weight_decay=st.sampled_from([0.0, 1e-4, 0.1]),
    clip=st.sampled_from([None, 0.2, 2.0, 1e6]),
)


def stepped(sgd: SGD, start: Tensor, grads: Tensor, *, wide: int) -> tuple[Tensor, Tensor]:
    """Parameters and momenta (k, d) after a step with each of these gradients (steps, k, d)."""
    params, momenta = start.clone(), torch.zeros_like(start)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "WIDE", wide)
        for gradient in grads.clone():
            sgd.step(params, gradient, momenta)
    return params, momenta


def in_float64(sgd: SGD, start: Tensor, grads: Tensor) -> tuple[Tensor, Tensor]:
    """The same by torch.optim.SGD and clip_grad_norm_, each client alone."""
    params, momenta = [], []
    for row, gradients in zip(start.double(), grads.double().transpose(0, 1), strict=True):
        weights = nn.Parameter(row.clone())
        optimiser = torch.optim.SGD([weights], lr=sgd.lr, momentum=sgd.momentum, weight_decay=sgd.weight_decay)
        for gradient in gradients:
            weights.grad = gradient.clone()
            if sgd.clip is not None:
                nn.utils.clip_grad_norm_([weights], sgd.clip)
            before = weights.detach().clone()
            optimiser.step()
        params.append(weights.detach())
        momenta.append((before - params[-1]) / sgd.lr)
    return torch.stack(params), torch.stack(momenta)


@pytest.mark.parametrize("wide", [0, 1 << 60], ids=["compiled", "torch"])
@given(
    sgd=SETTINGS,
    k=st.integers(1, 5),
    d=st.sampled_from([1, 7, 300]),
    steps=st.integers(1, 4),
    scale=st.sampled_from([0.0, 1e-6, 1.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_torch_optim(wide: int, sgd: SGD, k: int, d: int, steps: int, scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(k, d, generator=generator)
    grads = scale * torch.randn(steps, k, d, generator=generator)
    wanted, wanted_momenta = in_float64(sgd, start, grads)
    params, momenta = stepped(sgd, start, grads, wide=wide)
    size = float(wanted_momenta.abs().max() + start.abs().max())
    torch.testing.assert_close(momenta.double(), wanted_momenta, rtol=1e-5, atol=1e-5 * size)
    torch.testing.assert_close(params.double(), wanted, rtol=1e-5, atol=1e-6 * size)


@pytest.mark.parametrize("wide", [0, 1 << 60], ids=["compiled", "torch"])
def test_by_hand(wide: int) -> None:
    """(3, 4) has the norm 5 and is halved; (0.6, 0.8) is within the bound. Then m = g + w/2, w <- w - 2 m."""
    sgd = SGD(lr=2, momentum=0.5, weight_decay=0.5, clip=2.5)
    grads = torch.tensor([[[3.0, 4.0], [0.6, 0.8]]])
    params, momenta = stepped(sgd, torch.tensor([[1.0, 0.0], [0.0, -1.0]]), grads, wide=wide)
    torch.testing.assert_close(momenta, torch.tensor([[2.0, 2.0], [0.6, 0.3]]), rtol=1e-5, atol=0)
    torch.testing.assert_close(params, torch.tensor([[-3.0, -4.0], [-1.2, -1.6]]), rtol=1e-5, atol=0)
    again, _ = stepped(sgd, torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.cat([grads, 0 * grads]), wide=wide)
    torch.testing.assert_close(again, torch.tensor([[-2.0, -2.0], [-0.6, -0.3]]), rtol=1e-5, atol=0)


@pytest.mark.parametrize("wide", [0, 1 << 60], ids=["compiled", "torch"])
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_spoils_its_own_row_alone(wide: int, wrong: float) -> None:
    grads = torch.ones(1, 3, 4)
    grads[0, 1, 2] = wrong
    params, _ = stepped(SGD(), torch.zeros(3, 4), grads, wide=wide)
    assert params.isfinite().all(1).tolist() == [True, False, True]


@pytest.mark.parametrize("wide", [0, 1 << 60], ids=["compiled", "torch"])
def test_a_gradient_whose_squares_overflow_float32_is_clipped_too(wide: int) -> None:
    """(1, 1, 1e25, 1) becomes (2e-25, 2e-25, 2, 2e-25); (3, 4, 0, 0), of the norm 5, becomes (1.2, 1.6, 0, 0)."""
    grads = torch.tensor([[[1.0, 1.0, 1e25, 1.0], [3.0, 4.0, 0.0, 0.0]]])
    _, momenta = stepped(SGD(clip=2.0, weight_decay=0.0), torch.zeros(2, 4), grads, wide=wide)
    wanted = torch.tensor([[2e-25, 2e-25, 2.0, 2e-25], [1.2, 1.6, 0.0, 0.0]])
    torch.testing.assert_close(momenta, wanted, rtol=1e-5, atol=0)


@pytest.mark.parametrize("wide", [0, 1 << 60], ids=["compiled", "torch"])
@pytest.mark.parametrize(("clip", "spoilt"), [(2.0, [True] * 4), (None, [False, False, True, False])])
def test_what_is_not_a_number_in_a_gradient_spoils_a_clipped_row(wide: int, clip: float, spoilt: list[bool]) -> None:
    grads = torch.tensor([[[1.0, 1.0, torch.nan, 1.0], [1.0, 1.0, 1.0, 1.0]]])
    params, _ = stepped(SGD(clip=clip), torch.zeros(2, 4), grads, wide=wide)
    assert params.isnan().tolist() == [spoilt, [False] * 4]


def test_rows_in_several_parts_and_threads() -> None:
    """Parts of the compiled kernel have 2^19 entries, here 7 rows."""
    generator = torch.Generator().manual_seed(0)
    start, grads = (torch.randn(*shape, 70_000, generator=generator) for shape in [(17,), (2, 17)])
    got = []
    for threads in (1, 3):
        with fixed_threads(threads):
            got.append(stepped(SGD(), start, grads, wide=0)[0])
    assert torch.equal(*got)
    torch.testing.assert_close(got[0].double(), in_float64(SGD(), start, grads)[0], rtol=1e-5, atol=1e-6)
