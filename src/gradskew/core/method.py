"""What rules and attacks have in common: final calls, a note on methods without effect, and state of an inner one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .state import Stateful


class MayCheckLate:
    """Mixin of what computes on rows.

    late_check: True if it does no harm with any numbers, so that the rows are checked after it, and not read for that
    if one of its passes over them has shown that they are finite (`Rows.notice`). It is not inherited: what a subclass
    does is not known.
    """

    late_check: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "late_check" not in vars(cls):
            cls.late_check = False


class Method(MayCheckLate, Stateful, ABC):
    """Base class of rules and attacks.

    implements: the name of the method that a subclass writes. remark: a sentence for reports that show the method, on
    what its figures do not say.
    """

    implements: ClassVar[str]
    remark: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Raise TypeError for a subclass that overrides a final method: the checks would not run for it."""
        super().__init_subclass__()
        for name in ("__call__", "explain"):
            if name in vars(cls) and "implements" not in vars(cls):
                raise TypeError(f"{cls.__qualname__} must override {cls.implements}, not {name}")

    @classmethod
    def idle(cls, name: str, notes: Sequence[Mapping[str, Any]]) -> str:
        """Return a warning if the notes of all rounds show that the method had no effect; else an empty string."""
        return ""


class DelegatesState(ABC):
    """Mixin of a method whose state is that of the method inside it."""

    @property
    @abstractmethod
    def stateful(self) -> Stateful:
        """The method inside."""

    def reset(self) -> None:
        self.stateful.reset()

    def state_dict(self) -> dict[str, Any]:
        return self.stateful.state_dict()

    def is_valid_state(self, state: Mapping[str, Any], d: int) -> bool:
        return self.stateful.is_valid_state(state, d)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.stateful.load_state_dict(state)
