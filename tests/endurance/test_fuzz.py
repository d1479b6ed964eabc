"""The fuzzer's brief run: the same cases in every run of the tests. `make fuzz` plays more than 100,000."""

from pathlib import Path

import fuzz
import numpy as np
import pytest

from gradskew.core.errors import InputError

SLOW = ("stores", "folders")
TARGETS = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in fuzz.TARGETS]


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_input_is_refused_or_sound(name: str, tmp_path: Path) -> None:
    target = fuzz.TARGETS[name]
    tally = fuzz.play(name, 0, range(target.brief), tmp_path)
    repeat = [f"python tests/endurance/fuzz.py --target {name} --seed 0 --case {number}" for number in tally.findings]
    assert not tally.findings, f"{repeat}: {list(tally.findings.values())[:3]!r}"
    assert tally.accepted + tally.refused == target.brief
    assert tally.refused, "no case is refused: the target does not bite"
    assert tally.accepted, "every case is refused: the target reaches nothing"


def test_the_long_run_has_enough_cases() -> None:
    assert sum(target.cases for target in fuzz.TARGETS.values()) >= 10**5


def test_a_case_follows_from_its_number(tmp_path: Path) -> None:
    alone = [fuzz.play("names", 3, range(number, number + 1), tmp_path) for number in range(20)]
    together = fuzz.play("names", 3, range(20), tmp_path)
    assert sum(tally.accepted for tally in alone) == together.accepted


def wrong(error: BaseException):
    def case(rng: np.random.Generator, folder: Path) -> None:
        if rng.random() < 0.5:
            raise error

    return case


def sleepy(rng: np.random.Generator, folder: Path) -> None:
    while True:
        pass


def warned(rng: np.random.Generator, folder: Path) -> None:
    np.log(np.zeros(1))


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError(), MemoryError(), RecursionError(), AssertionError("wrong")]
)
def test_what_is_no_refusal_is_a_finding(error, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fuzz.TARGETS, "x", fuzz.Target(wrong(error), 40, 40))
    tally = fuzz.play("x", 0, range(40), tmp_path)
    assert 0 < len(tally.findings) < 40
    assert tally.accepted == 40 - len(tally.findings)


def test_only_the_documented_error_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fuzz.TARGETS, "x", fuzz.Target(wrong(ValueError()), 9, 9))
    assert fuzz.play("x", 0, range(9), tmp_path).findings
    monkeypatch.setitem(fuzz.TARGETS, "x", fuzz.Target(wrong(InputError()), 9, 9))
    assert fuzz.play("x", 0, range(9), tmp_path).refused


def test_a_hang_and_a_warning_are_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "LIMIT", 0.05)
    monkeypatch.setitem(fuzz.TARGETS, "x", fuzz.Target(sleepy, 1, 1))
    assert isinstance(fuzz.play("x", 0, range(1), tmp_path).findings[0], fuzz.Hang)
    monkeypatch.setitem(fuzz.TARGETS, "x", fuzz.Target(warned, 1, 1))
    assert isinstance(fuzz.play("x", 0, range(1), tmp_path).findings[0], RuntimeWarning)
