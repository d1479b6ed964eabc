"""The options of a run that are numbers, words and flags. A new option is a new field here, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.names import Fields
from ..core.options import option, options_of
from .optimizer import SGD


@dataclass(frozen=True, kw_only=True)
class Options(Fields):
    """What a run depends on besides data, model, attack, rule and local training.

    clients: N in all. sampled: the number of clients in a round (None: all). byzantine: a count, or a share of all
    clients below 1 (rounded up); the clients with the lowest ids are Byzantine. knowledge: the share of honest clients
    that the attacker knows, drawn once per run (redraw_knowledge: in each round). known: the rows that an attack takes
    for honest, the known `honest` ones or its clients' `own`. attack_rounds: START:STOP:EVERY, the rounds of the
    attack, counted from 0 (None: all); in the others the Byzantine clients send their own rows, trained on clean data.
    told: the f of the rule in each round, the `actual` number of Byzantine rows, the `expected` one, or a number.
    loss: `cross_entropy` of the labels, that of the `next_token` of texts, or half of the `squared` error of numbers.
    buffers: the server averages batch norm's statistics (`mean`), or the rule aggregates them with the row
    (`aggregated`). threads: intra-op, part of the spec since sums depend on them. precision: of the passes of local
    training: `float32`, `tf32` (CUDA only) or `bf16`; parameters, updates, rules and evaluation are float32.
    evaluate_every: test the model every so many rounds, and after each of the last five; with the test inputs of
    thousands of clients, testing takes longer than training ten of them. lens: measure the skew of the honest rows and
    the rule's choice in each round; results do not depend on it. pictures: the rounds whose rows are embedded in the
    plane; None means the first, the middle and the last. probe: the lens also measures how much the gradients of the
    honest clients' loss on all their inputs differ at w^t; results do not depend on it. root_examples: training inputs
    that the server keeps, for rules that need its own update (fltrust). validation: the share of the training inputs
    that is held out, evenly over the classes and the same for every seed and partition, and on which the model is
    tested in place of the test inputs; neither the clients nor the server have them. rows: what clients send, an
    `update` w^t - w_i^{t+1}, the `gradient` of one local step, which the server multiplies by the learning rate, or an
    update normalised by the number of local steps (`fednova`). votes: clients say their losses at candidate models when
    the rule asks, which changes the protocol; the Byzantine ones vote for the worst. worker_momentum: beta, of the
    momentum that clients send in place of their rows, which starts at 0 (worker_momentum_start: `zero`) or at the first
    row (`first`).
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "strike-authors": {"redraw_knowledge": True, "buffers": "aggregated"}
    }
    clients: int = option(50, at_least=1, digest="always", help="Clients in all. Default 50; by writer, all.")
    sampled: int | None = option(None, at_least=1, digest="always", help="Clients in a round. Default: all.")
    byzantine: float = option(
        0.2, at_least=0, digest="always", help="Byzantine clients: a count, or a share below 1. Default 0.2."
    )
    rounds: int = option(60, at_least=1, digest="always", help="Communication rounds. Default: by data set.")
    evaluate_every: int = option(1, at_least=1, help="Test the model after so many rounds each. Default 1, FEMNIST 10.")
    knowledge: float = option(
        1.0,
        at_least=0,
        at_most=1,
        digest="always",
        help="Share of the honest clients that the attacker knows. Default 1.",
    )
    redraw_knowledge: bool = option(False, choices=(False, True), digest="always")
    known: str = option(
        "honest",
        choices=("honest", "own"),
        help="Rows that the attacker takes for honest: the honest ones that it knows (default), or its clients' own.",
    )
    attack_rounds: str | None = option(
        None, help="Rounds of the attack, counted from 0: START:STOP:EVERY, such as 20:40:2 or 20:. Default: all."
    )
    told: str = option(
        "actual",
        digest="always",
        help="The rule's f: the actual (default) or the expected number of Byzantine rows, or a number.",
    )
    loss: str = option(
        "cross_entropy",
        choices=("cross_entropy", "next_token", "squared"),
        help="Loss: cross_entropy of the labels (default), next_token of texts, squared of numbers.",
    )
    buffers: str = option("mean", choices=("mean", "aggregated"), digest="always")
    root_examples: int = option(
        0, at_least=0, help="Training inputs that the server holds, for rules that need its own update. Default 0."
    )
    validation: float = option(
        0.0,
        at_least=0,
        at_most=0.5,
        help="Share of the training inputs held out to test the model on, in place of the test inputs. Default 0; for "
        "`gradskew tune` 0.2.",
    )
    votes: bool = option(
        False,
        choices=(False, True),
        help="Clients say their losses at two candidate steps, for `vote`. Default: no.",
    )
    rows: str = option(
        "update",
        choices=("update", "gradient", "fednova"),
        help="Rows of clients: update (default), gradient (of one step) or fednova (updates by the number of steps).",
    )
    worker_momentum: float = option(
        0.0, at_least=0, below=1, help="Clients send the momentum of their rows with this beta. Default 0: the rows."
    )
    worker_momentum_start: str = option(
        "zero", choices=("zero", "first"), help="What a client's momentum starts at: zero (default) or its first row."
    )
    probe: bool = option(
        False,
        choices=(False, True),
        help="Measure how much full-batch gradients of clients differ, each round. Default: no.",
    )
    seed: int = option(0, at_least=0, digest="always")
    engine: str = option(
        "auto",
        digest="always",
        group="execution",
        help="How clients train: batched, loop or auto (default); ray: runs are tasks of Ray.",
    )
    precision: str = option(
        "float32",
        choices=("float32", "tf32", "bf16"),
        digest="always",
        group="execution",
        help="Of local training: float32 (default), bf16, or tf32 on a GPU.",
    )
    device: str = option("cpu", digest="always", group="execution", help="cpu (default) or cuda.")
    threads: int = option(
        1,
        at_least=1,
        at_most=1024,
        digest="always",
        group="execution",
        help="Threads of one run; part of its spec. Default 1.",
    )
    lens: bool = option(
        True,
        choices=(False, True),
        digest="apart",
        group="execution",
        help="Measure skew and kappa each round. Default: on.",
    )
    pictures: tuple[int, ...] | None = option(
        None,
        digest="apart",
        group="execution",
        help="Rounds whose updates are drawn: 0,30 or none. Default: first, middle, last.",
    )


# The options of a run that may have a list of values; the others have lists of their own, or say how it is executed.
_OWN = ("pictures", "lens", "engine", "votes", "probe")
LISTED = (
    *("dataset", "partition", "beta", "min_samples", "preset", "model", "local", "server"),
    *(field.name for field, known in options_of(Options, SGD) if known.help and field.name not in _OWN),
)
