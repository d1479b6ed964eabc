"""The check of a rule by a search: the forged rows of one round that move its aggregate farthest."""

from __future__ import annotations

import torch

from ..aggregators import Aggregator
from ..aggregators.informed import Informed
from ..attacks import Adaptive, Context
from ..core.errors import InputError
from ..core.rows import Rows
from .checks import GOOD, ODD, Answer, BreakingRows, Subject, gaussian, made_round, seconds_of

SECONDS = 10.0  # of calls of the rule, about, in the search
FEWEST = 12  # tries with which a search is worth a sentence


def check_search(subject: Subject) -> Answer:
    """Search for the f rows that move the aggregate farthest against the honest mean, on Gaussian rows, without a cap.

    It is odd if it ends farther from the honest mean than every honest row: broken by one round.
    """
    if subject.f == 0:
        return GOOD, "f = 0: there is nobody to search for."
    rows, attack = subject.rows, Adaptive(aim="stop", cap=None)
    subject(rows)
    seconds = seconds_of(lambda: subject(rows))
    if attack.calls(subject.fresh()) * seconds > SECONDS:
        most = int(SECONDS / seconds)
        if most < FEWEST:
            return ODD, f"A call takes {seconds:.2g} s: too slow for a search of the rows that move it most."
        attack = Adaptive(aim="stop", cap=None, limit=most)
    honest, rule = rows[subject.f :], _informed(subject.fresh(), rows, subject.f)
    clients = range(subject.f, subject.n)
    context = Context(round=0, params=torch.zeros(rows.shape[1]), rule=rule, clients=clients, f=subject.f)
    forgery = attack.explain(honest, gaussian(subject.f, draw=1), n=subject.n, context=context)
    notes = forgery.notes
    how = "in closed form" if notes["won"] == "closed form" else f"found in {notes['tries']} tries"
    doubts = f" It failed on {notes['failed_tries']} of the tries." if "failed_tries" in notes else ""
    doubts += " It answers one try in two ways." * ("in two ways" in notes["won"])
    sent = torch.cat([forgery.rows, honest])
    try:
        reach, progress = _moved(subject, sent, honest)
    except InputError as error:
        return ODD, f"It fails on rows {how}: {error}.{doubts}"
    text = f"ows {how} bring it {reach:.3g} times as far from the honest mean as the farthest honest row"
    text = f"{text}; progress {progress:.2g}.{doubts}"
    if reach <= 1:
        return (ODD if doubts else GOOD), f"R{text}"
    whole = subject.method.needs <= {"clients"}  # a matrix has no other part of a round
    return ODD, f"Broken by one round: r{text}", None, BreakingRows(sent.numpy(), subject.f) if whole else None


def _informed(rule: Aggregator, rows: torch.Tensor, f: int) -> Aggregator:
    """Return the rule as an attacker tries it: with the round that it needs."""
    return Informed(rule=rule, round=made_round(rows), known=range(f, len(rows))) if rule.needs else rule


def _moved(subject: Subject, sent: torch.Tensor, honest: torch.Tensor) -> tuple[float, float]:
    """Return the aggregate's distance from the honest mean, over that of the farthest honest row, and its progress."""
    value = subject(sent).double()
    exact = Rows(honest)
    mean = exact.mean(torch.float64)
    farthest = exact.squared_distances_to(mean).max().sqrt()
    return float((value - mean).norm() / farthest), float(value @ mean / (mean @ mean))
