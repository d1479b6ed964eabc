"""Execute one run from its first round, or from a snapshot, to its result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..core.errors import check
from ..core.names import is_built_in
from ..skew import Picture
from ..trackers import FinishedRun, Log
from ..trackers.log import stamp
from .computing import computing
from .curve import at_end
from .memory import check_fits
from .rounds import Federation
from .run import Run
from .snapshot import Snapshot

RESULTS = "gradskew-results"  # the default folder of results


@dataclass(frozen=True)
class Result:
    """The result of a run: its metrics of each round, and the final parameters (d,) and buffers (b,).

    With the lens also class_counts, the number of inputs of each class of each client (None above 2^18 numbers), and
    pictures. test_size: the number of test inputs. test_counts: that of each class, None where the loss has no classes.
    """

    run: Run
    rounds: list[dict[str, Any]]
    params: Tensor
    buffers: Tensor
    class_counts: list[list[int]] | None = None
    pictures: Sequence[Picture] = ()
    test_size: int | None = None
    test_counts: list[int] | None = None

    def __repr__(self) -> str:
        ended = next((m["accuracy"] for m in reversed(self.rounds) if m["accuracy"] is not None), None)
        accuracy = "" if ended is None else f": {ended:.1f} % in the last test"
        rounds = f"{len(self.rounds)} round{'' if len(self.rounds) == 1 else 's'}"
        return f"Result({self.run.attack.name} against {self.run.aggregator.name}, {rounds}{accuracy})"

    @property
    def params_sha256(self) -> str:
        """SHA-256 of the final parameters and buffers."""
        return hashlib.sha256(self.params.cpu().numpy().tobytes() + self.buffers.numpy().tobytes()).hexdigest()


def simulate(
    run: Run,
    *,
    on_round: Callable[[dict[str, Any]], None] = lambda metrics: None,
    start: Snapshot | None = None,
    on_snapshot: Callable[[Snapshot], None] = lambda snapshot: None,
    log: Any = None,
) -> Result:
    """Execute a run and return its result; after each round call `on_snapshot`, then `on_round` with the metrics.

    start: a snapshot to continue from; `on_round` is called for its rounds first. log: trackers that get the finished
    run, as `csv,mlflow`: see `gradskew.trackers`; files go to gradskew-results/log. Raises Unfit for a snapshot that is
    not of this run, and InputError if memory is too small, or if the data are others than those of the digest, which
    another process may have computed before a file changed. The result depends on the run alone: not on the snapshot,
    nor on the global random state, which is not changed.
    """
    trackers = Log(log, Path(RESULTS))
    with computing(run):
        federation = _begun(run)
        rounds = [] if start is None else federation.restore(start)
        for metrics in rounds:
            on_round(metrics)
        for round in range(len(rounds), run.rounds):
            rounds.append(federation.round(round))
            on_snapshot(federation.snapshot(rounds))
            on_round(rounds[-1])
        result = _result(federation, rounds)
    if trackers:
        accuracies = [metrics["accuracy"] for metrics in rounds if metrics["accuracy"] is not None]
        accuracy, mark = at_end(accuracies, len(rounds)), stamp() if run.session_code else ""
        trackers(FinishedRun(run.digest, run.content, rounds, accuracy, max(accuracies), mark))
    return result


def received(
    run: Run, number: int, *, on_round: Callable[[dict[str, Any]], None] = lambda metrics: None
) -> tuple[Result, Tensor]:
    """Execute the rounds 0, ..., number of a run; return their result, and the rows that the rule got in the last one.

    The rows are float32 (n, d) on the CPU, Byzantine ones first. After each round `on_round` is called with its
    metrics. Raises InputError as `simulate` does.
    """
    with computing(run):
        federation = _begun(run)
        rounds = []
        for round in range(number + 1):
            rounds.append(federation.round(round))
            on_round(rounds[-1])
        return _result(federation, rounds), federation.received.cpu()


def _begun(run: Run) -> Federation:
    """Return the federation of a run before its first round."""
    content = vars(run).get("content")  # None: nobody asked for the digest yet
    same = content is None or content["data_sha256"] == run.source.load().digest
    hint = "" if is_built_in(type(run.source)) else ", and if its read draws, let it draw from a fixed seed"
    check(same, f"the data of {run.source.name} have changed since the start: start again{hint}")
    check_fits([run])
    return Federation(run)


def _result(federation: Federation, rounds: list[dict[str, Any]]) -> Result:
    """Return the result of a federation after its rounds, with these metrics."""
    return Result(
        federation.run,
        rounds,
        federation.params.clone(),
        federation.flat.read_buffers(),
        federation.class_counts() if federation.run.lens else None,
        federation.lens.pictures,
        len(federation.tested.test),
        federation.test_counts(),
    )
