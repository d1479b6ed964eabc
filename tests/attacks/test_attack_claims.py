"""What the table in cases.py claims of each attack, presets, and errors."""

import pytest
import torch
from cases import ATTACKS, ids, make_rows

from gradskew import InputError
from gradskew import attacks as att


@pytest.mark.parametrize("case", ATTACKS, ids=ids)
class TestClaims:
    """What the table claims of each attack, on rows in general position."""

    @staticmethod
    def send(case, honest, own, clients=None):
        attack = case.attack
        attack.observe(honest, clients=clients)
        return attack(honest, own)

    def test_shape_type_and_purity(self, case):
        honest, own = make_rows(9, 5, 0, "gauss", seed=1), make_rows(3, 5, 0, "gauss", seed=2)
        kept, attack = (honest.clone(), own.clone(), torch.get_rng_state()), case.attack
        first = attack(honest, own)
        assert first.shape == own.shape
        assert first.dtype == own.dtype
        assert torch.equal(first, attack(honest, own))
        assert torch.equal(first, attack.explain(honest, own).rows)
        for after, before in zip((honest, own, torch.get_rng_state()), kept, strict=True):
            assert torch.equal(after, before)
        if case.equal:
            assert torch.equal(first, first[:1].expand(3, -1))
            assert torch.equal(first, attack(honest, own + 1))  # own rows play no part

    def test_rows_that_require_gradients_do_as_well(self, case):
        honest, own = make_rows(9, 5, 0, "gauss", seed=1), make_rows(3, 5, 0, "gauss", seed=2)
        sent = case.attack(honest.clone().requires_grad_(), own.clone().requires_grad_())
        assert torch.equal(sent, case.attack(honest, own))

    def test_the_order_of_honest_rows_does_not_matter(self, case):
        honest, own = make_rows(9, 5, 0, "gauss", seed=1), make_rows(3, 5, 0, "gauss", seed=2)
        if not case.permutation:
            return
        order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(
            self.send(case, honest, own), self.send(case, honest[order], own), rtol=1e-5, atol=1e-5
        )

    def test_translation(self, case):
        honest, own = make_rows(9, 5, 0, "gauss", seed=1), make_rows(3, 5, 0, "gauss", seed=2)
        shift = torch.tensor([3.0, -1.0, 0.5, 8.0, 0.0])
        moved, expected = self.send(case, honest + shift, own + shift), self.send(case, honest, own) + shift
        if case.translation:
            torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-5)

    def test_scale(self, case):
        honest, own = make_rows(9, 5, 0, "gauss", seed=1), make_rows(3, 5, 0, "gauss", seed=2)
        if case.scale:
            torch.testing.assert_close(self.send(case, 4 * honest, 4 * own), 4 * self.send(case, honest, own))

    def test_rotation(self, case):
        honest, own = make_rows(9, 5, 0, "gauss", seed=1), make_rows(3, 5, 0, "gauss", seed=2)
        turn = torch.linalg.qr(make_rows(5, 5, 0, "gauss", seed=3).double())[0].float()
        if case.rotation:
            moved = self.send(case, honest @ turn, own @ turn)
            torch.testing.assert_close(moved, self.send(case, honest, own) @ turn, rtol=1e-4, atol=1e-4)

    def test_masks(self, case):
        honest, own = make_rows(9, 5, 0, "gauss", seed=1), make_rows(3, 5, 0, "gauss", seed=2)
        if case.masks:
            for columns in ([0], [1, 3], [4, 2, 0]):
                alone = self.send(case, honest[:, columns], own[:, columns])
                torch.testing.assert_close(alone, self.send(case, honest, own)[:, columns])

    def test_what_does_not_read_honest_rows_sends_the_same_whatever_they_are(self, case):
        honest, own = make_rows(9, 5, 0, "gauss", seed=1), make_rows(3, 5, 0, "gauss", seed=2)
        if case.blind:
            for other in (honest[:4], -honest, honest[:0]):
                assert torch.equal(case.attack(other, own, n=12), case.attack(honest, own))


def test_presets():
    assert att.make("mimic", preset="strike-authors") == att.make("mimic(variant=strike-authors)")
    assert att.make("strike", preset="strike-authors") == att.make(
        "strike(middle=upper,max_alpha=10.0,few=extrapolate)"
    )
    assert att.make("strike(middle=lower)", preset="strike-authors").middle == "lower"
    assert att.make("strike", preset="paper") == att.make("strike(nu=1,middle=midpoint,max_alpha=None,few=one)")
    assert att.make("lie", preset="byzfl") == att.LIE(z=1.5, sign=1, ddof=1)
    assert att.make("lie", preset="byzpy") == att.LIE(z="byzpy")
    assert att.make("ipm", preset="byzpy") == att.IPM(epsilon=1.0)
    assert att.make("bitflip", preset="byzfl") == att.BitFlip(of="mean")
    assert att.make("mimic", preset="byzfl") == att.make("mimic", preset="byzpy") == att.Mimic(variant="index")
    with pytest.raises(InputError, match="unknown preset 'papr'; did you mean 'paper'"):
        att.make("lie", preset="papr")


@pytest.mark.parametrize("case", ATTACKS, ids=ids)
def test_a_name_makes_the_same_attack_again(case):
    attack = att.make(case.name)
    assert att.make(attack.name) == attack


@pytest.mark.parametrize(
    "name",
    [
        *("lie(z=-1)", "lie(z=nan)", "lie(z=True)", "lie(sign=0)", "lie(sign=True)", "ipm(epsilon=-0.1)"),
        *("minmax(p=mean)", "minsum(p=0)", "minsum(bound=mean)", "mimic(warmup=0)", "mimic(warmup=1.5)"),
        *("mimic(variant=byzfl)", "strike(nu=-1)", "strike(nu=1e999)"),
        *("strike(middle=mean)", "strike(max_alpha=-1)", "strike(few=two)", "strike(max_alpha=high)"),
    ],
)
def test_hyperparameters_out_of_range(name):
    with pytest.raises(InputError) as caught:
        att.make(name)
    key, option = name.split("(")[0], name.split("(")[1].split("=")[0]
    assert str(caught.value).startswith(f"{key}: {option} must be")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("strkie", "unknown attack 'strkie'; did you mean 'strike'"),
        ("lie(s=1)", "unknown option of lie 's'"),
        ("strike(maxalpha=1)", "did you mean 'max_alpha'"),
        ("none(z=1)", "known: none"),
        ("lie+strike", "an attack on training, such as labelflip, comes first"),
        ("lie(z=1,z=2)", "given twice"),
        ("lie(1)", "written name=value"),
        ("lie(z=" + "1" * 600 + ")", "more than 500 characters"),
    ],
    ids=lambda text: text[:30],
)
def test_names_that_are_wrong(name, message):
    with pytest.raises(InputError) as caught:
        att.make(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", ATTACKS, ids=ids)
@pytest.mark.parametrize(
    ("honest", "own", "n", "message"),
    [
        (torch.zeros(3), torch.zeros(1, 2), None, "honest must"),
        (torch.zeros(()), torch.zeros(1, 2), None, "honest must"),
        (torch.zeros(3, 2), torch.zeros(()), None, "own must"),
        (torch.zeros(3, 2), torch.zeros(2), None, "own must"),
        (torch.zeros(3, 2), torch.zeros(0, 2), None, "own must"),
        (torch.zeros(3, 0), torch.zeros(1, 0), None, "honest must"),
        (torch.zeros(3, 2, dtype=torch.int64), torch.zeros(1, 2), None, "honest must"),
        ([[1.0]], torch.zeros(1, 1), None, "honest must"),
        (torch.zeros(3, 2), torch.zeros(1, 5), None, "honest has 2 columns, own has 5"),
        (
            torch.zeros(3, 2),
            torch.zeros(1, 2).double(),
            None,
            "honest is float32, own is float64: both must be of one type",
        ),
        (torch.zeros(3, 2), torch.zeros(1, 2), 3, "n must be at least 4"),
        (torch.zeros(3, 2), torch.zeros(1, 2), 5.0, "n must be a whole number"),
    ],
    ids=str,
)
def test_rows_of_another_shape_or_type(case, honest, own, n, message):
    with pytest.raises(InputError, match=message) as caught:
        case.attack(honest, own, n=n)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", ATTACKS, ids=ids)
def test_only_an_attack_that_needs_an_honest_row_refuses_none(case):
    honest, own = torch.zeros(0, 2), torch.tensor([[1.0, 2.0]])
    if case.attack.needs == "honest":
        with pytest.raises(InputError, match="honest must"):
            case.attack(honest, own)
    else:
        assert case.attack(honest, own).shape == (1, 2)


@pytest.mark.parametrize("case", ATTACKS, ids=ids)
@pytest.mark.parametrize(("h", "f"), [(1, 1), (1, 4), (2, 1), (3, 9)])
def test_few_honest_rows(case, h, f):
    sent = case.attack(make_rows(h, 3, 0, "gauss", seed=h), torch.ones(f, 3))
    assert sent.shape == (f, 3)
    assert sent.isfinite().all() == case.finite


@pytest.mark.parametrize("name", ["minmax", "minsum", "strike", "lie", "mimic"])
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_rows_whose_squares_are_no_float32(name, size):
    """2^100 and 2^-100 in place of 1: the forged row scales along."""
    honest, own = make_rows(8, 5, 0, "gauss", seed=0), torch.zeros(2, 5)
    factor = 2.0 ** round(torch.tensor(size).log2().item())
    attack = att.make(name)
    torch.testing.assert_close(attack(factor * honest, own) / factor, attack(honest, own))


@pytest.mark.parametrize("name", ["minmax", "minsum", "strike", "ipm", "lie"])
def test_n_counts_the_clients_that_the_attacker_does_not_know(name):
    """Of these attacks, only strike's S depends on n: 3 of 6 rows for f = 2 of n = 8, 4 of 6 for f = 2 of n = 14."""
    honest, own = make_rows(6, 5, 0, "gauss", seed=0), torch.zeros(2, 5)
    assert torch.equal(att.make(name)(honest, own), att.make(name)(honest, own, n=8))
    same = torch.equal(att.make(name)(honest, own), att.make(name)(honest, own, n=14))
    assert same is (name != "strike")
