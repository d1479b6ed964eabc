"""One run of the simulation: everything that its result depends on, and its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from .. import aggregators, attacks, data, models
from ..aggregators import Aggregator, Mean
from ..attacks import Attack, NoAttack
from ..core.errors import InputError, ceil_share, check, check_choice, check_number
from ..core.html import html_table
from ..core.names import Named, canonical, describe, nested
from ..core.options import check_options, digest_options
from ..core.randomness import torch_seed
from ..core.round import Round
from ..data import Digits, Source, partition
from ..data.partition import Dirichlet, Partition
from ..models import MLP, Model, initial, num_parameters
from .catalogue import make_server, make_variant
from .clients import num_together, resolve
from .code_digest import LAYERS, NETWORK, check_unchanged, session_code, user_code
from .local import Plain, Variant, check_training
from .loss import LOSSES
from .optimizer import SGD
from .options import Options
from .schedule import rounds_of, short_form
from .schema import LENS, SEMANTICS, check_spec
from .server import FedAvg, ServerOptimizer


@dataclass(frozen=True, kw_only=True)
class Run(Options):
    """The spec of a simulation: data, model, attack, rule, local training, server, and the fields of `Options`.

    Data, partition, model, attack and rule may be given by name, and the last three as functions: see `make` of each.
    So may the variant of local training, `fedprox(mu=0.01)`, and the server's optimiser, `fedadam(lr=0.1)`.
    """

    source: Source = field(default_factory=Digits)
    partition: Partition = field(default_factory=lambda: Dirichlet(min_samples=Digits.min_samples))
    model: Model = field(default_factory=lambda: MLP(hidden=32))
    attack: Attack = field(default_factory=NoAttack)
    aggregator: Aggregator = field(default_factory=Mean)
    sgd: SGD = field(default_factory=lambda: SGD(epochs=2, batch=16, lr=0.2))
    local: Variant = field(default_factory=Plain)
    server: ServerOptimizer = field(default_factory=FedAvg)

    def __post_init__(self) -> None:
        self._make_parts()
        kinds = {"source": Source, "partition": Partition, "model": Model, "attack": Attack, "aggregator": Aggregator}
        for name, kind in {**kinds, "sgd": SGD, "local": Variant, "server": ServerOptimizer}.items():
            value = getattr(self, name)
            good = isinstance(value, kind)
            check(good, f"{name} must be an object of type {kind.__name__}, not {value!r:.60}")
        check_options(self)
        if self.sampled is not None:
            check_number("sampled", self.sampled, at_least=1, at_most=self.clients, whole=True)
        if self.told not in ("actual", "expected"):
            object.__setattr__(self, "told", str(_told(self.told, self.clients)))
        check(self.byzantine < 1 or isinstance(self.byzantine, int), "byzantine is a whole number, or a share below 1")
        few = self.num_byzantine < self.clients
        check(few, f"byzantine = {self.byzantine} leaves none of {self.clients} clients honest")
        check_device(self.device)
        possible = self.precision != "tf32" or torch.device(self.device).type == "cuda"
        check(possible, "precision = tf32 needs a CUDA device; a CPU has float32 and bf16")
        resolve(self.engine, self.model, self.device)
        absent = [part for part, there in (("reference", self.root_examples), ("losses", self.votes)) if not there]
        Round().check_has(self.aggregator.needs & {*absent}, self.aggregator.name)
        steps = "votes = True asks for losses after plain steps: use the server fedavg"
        check(not self.votes or self.server == FedAvg(), steps)
        self.attack.check_rule(self.aggregator)
        each = self.loss == "next_token"
        fits = getattr(self.model, "each", each) == each
        check(fits, f"loss = {self.loss} needs the model {self.model.key}(each={each}), with its other options")
        labels = f"{self.attack.name} changes labels, and loss = {self.loss} does not train on them"
        check(LOSSES[self.loss].by_class or not self.attack.relabels(), labels)
        own = "knowledge is a share of the honest rows; with known = own the attacker knows none"
        check(self.known == "honest" or self.knowledge == 1, own)
        object.__setattr__(self, "attack_rounds", short_form(self.attack_rounds))
        self.attack.check_setting("simulation", honest=self.num_known)
        late = f"attack_rounds = {self.attack_rounds} begins after round {self.rounds - 1}, the last"
        check(rounds_of(self.attack_rounds)[0] < self.rounds, late)
        check_training(self.local, self.sgd, self.rows, self.worker_momentum, self.worker_momentum_start)
        check(self.lens or not self.pictures, "pictures are made by the lens, which is off")
        check(self.lens or not self.probe, "probe = True measures for the lens, which is off")
        for round in self.pictures or ():
            check_number("a round in pictures", round, at_least=0, below=self.rounds, whole=True)

    def _make_parts(self) -> None:
        """Replace names and functions by the objects that they stand for."""
        makers: dict[str, Callable[[Any], Any]] = {
            "source": data.make,
            "partition": lambda name: partition.make(name, min_samples=self.source.min_samples),
            "model": models.make,
            "attack": attacks.make,
            "aggregator": aggregators.make,
            "local": make_variant,
            "server": make_server,
        }
        for name, make in makers.items():
            object.__setattr__(self, name, make(getattr(self, name)))

    def __repr__(self) -> str:
        changed, default = [], Run()
        for each in fields(self):
            if (value := getattr(self, each.name)) != getattr(default, each.name):
                named = isinstance(value, Named) and each.name not in ("sgd", "server")
                changed.append(f"{each.name}={value.name if named else value!r}")
        return f"Run({', '.join(changed)})"

    def _repr_html_(self) -> str:
        shown = {"data set": self.source.name, "partition": self.partition.name, "model": self.model.name}
        shown |= {"attack": self.attack.name, "rule": self.aggregator.name, "clients": f"{self.clients}"}
        shown |= {"of them Byzantine": f"{self.num_byzantine}", "in a round": f"{self.num_sampled}"}
        shown |= {"rounds": f"{self.rounds}", "local training": f"{self.local.name}, {self.sgd!r}"}
        shown |= {"server": self.server.name, "seed": f"{self.seed}"}
        return html_table("Run", list(shown.items()))

    @cached_property
    def session_code(self) -> list[str]:
        """The names of the user's code that only this process has: it cannot be sent to another, nor found again."""
        return session_code(*self._parts())

    @cached_property
    def num_byzantine(self) -> int:
        """The number of Byzantine clients."""
        return int(self.byzantine) if self.byzantine >= 1 else ceil_share(self.byzantine, self.clients)

    @property
    def num_known(self) -> int:
        """The number of clients whose rows the attacker may take for honest ones."""
        if self.known == "own":
            return self.num_byzantine
        return ceil_share(self.knowledge, self.clients - self.num_byzantine)

    @property
    def num_sampled(self) -> int:
        """The number of clients in a round."""
        return self.clients if self.sampled is None else self.sampled

    @cached_property
    def pictured(self) -> frozenset[int]:
        """The rounds whose rows are embedded in the plane."""
        usual = (0, self.rounds // 2, self.rounds - 1)
        return frozenset(usual if self.pictures is None else self.pictures) if self.lens else frozenset()

    @property
    def trains_reference(self) -> bool:
        """Whether the server trains on its root data in each round, as the rule needs its update."""
        return self.root_examples > 0 and "reference" in self.aggregator.needs

    @property
    def remembers(self) -> bool:
        """Whether each client remembers a vector from one round to the next."""
        return self.local.remembers or self.worker_momentum > 0

    @property
    def outputs(self) -> int:
        """The number of scores that the network is asked for: that of the classes, unless the loss says otherwise."""
        return LOSSES[self.loss].outputs(self.source.load())

    @property
    def scores(self) -> tuple[int, ...]:
        """The shape of the scores of one input."""
        return LOSSES[self.loss].shape(self.source.load())

    @property
    def num_together(self) -> int:
        """The number of clients of a round whose rows are trained at once, for the digest; `num_sampled` for `loop`."""
        if resolve(self.engine, self.model, self.device) == "loop":
            return self.num_sampled
        data = self.source.load()
        trained = self.num_sampled + self.trains_reference
        return num_together(trained, num_parameters(self.model, data.shape, self.outputs))

    @cached_property
    def content(self) -> dict[str, Any]:
        """The spec as a JSON object: all that the result depends on, with every `auto` resolved, without paths."""
        code = user_code(*self._parts())  # first, so that the files are read soon after their import
        self.attack.check_setting("simulation", classes=self.source.load().num_classes)
        resolved = {
            "sampled": self.num_sampled,
            "byzantine": self.num_byzantine,
            "engine": resolve(self.engine, self.model, self.device),
            "device": torch.device(self.device).type,
        }
        content = {
            "dataset": self.source.name,
            "data_sha256": self.source.load().digest,
            "partition": describe(self.partition),
            "model": {**describe(self.model), **self.model.origin},
            "attack": describe(self.attack),
            "attack_name": self.attack.name,
            "aggregator": describe(self.aggregator),
            "aggregator_name": self.aggregator.name,
            "sgd": describe(self.sgd),
            **digest_options(self, resolved),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "semantics": SEMANTICS,
        }
        if self.num_together < self.num_sampled:
            content["together"] = self.num_together
        if self.local != Plain():
            content["local"] = describe(self.local)
        if self.server != FedAvg():
            content["server"] = describe(self.server)
        if self.lens:
            content["lens"] = LENS
        if self.pictured != replace(self, pictures=None).pictured:
            content["pictures"] = sorted(self.pictured)
        if user_code(getattr(self.model, "factory", self.model)):
            code |= self._network()
        if code:
            content["user_code"] = code
        check_spec(content)
        return content

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the content: the name under which the run is stored."""
        return hashlib.sha256(canonical(self.content).encode()).hexdigest()

    def check_code(self) -> None:
        """Raise InputError if the user's code in this process differs from that in the digest."""
        check_unchanged(self._parts(), self.content.get("user_code", {}))

    def _network(self) -> dict[str, str]:
        """Return the SHA-256 of a user's network before the first round: a factory may depend on more than its code.

        That of the layers with their shapes, which is the same for each seed, and that of the numbers.
        """
        data = self.source.load()
        flat = initial(self.model, data.shape, self.outputs, torch_seed(self.seed, "model"), scores=self.scores)
        tensors = [*flat.module.parameters(), *flat.module.buffers()]
        text = str(flat.module)
        layers = [text, *(f"{tuple(tensor.shape)} {tensor.dtype}" for tensor in tensors)]
        total = hashlib.sha256(text.encode())
        for tensor in tensors:
            tensor = torch.view_as_real(tensor) if tensor.is_complex() else tensor
            total.update(tensor.detach().cpu().double().numpy().tobytes())
        return {LAYERS: hashlib.sha256(canonical(layers).encode()).hexdigest(), NETWORK: total.hexdigest()}

    def _parts(self) -> list[Any]:
        """Return the objects whose code the result depends on."""
        methods = (self.source, self.partition, self.model, self.attack, self.aggregator, self.local, self.server)
        parts = [part for method in methods for part in nested(method)]
        others = (getattr(self.model, "factory", None), self.partition.partitioner)
        return [*parts, *(each for each in others if each is not None)]


def _told(told: Any, clients: int) -> int:
    """Return the f that the rule is told, from a number or its text."""
    number = int(told) if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) < 10 else told
    check(type(number) is int, f"told must be actual, expected or a whole number, not {told!r:.60}")
    return int(check_number("told", number, at_least=0, below=clients, whole=True))


def check_device(device: str) -> None:
    """Raise InputError unless torch knows the device and this machine has it."""
    try:
        known = torch.device(device)
    except (RuntimeError, TypeError):
        raise InputError(f"unknown device {device!r}; cpu, cuda and cuda:0 are examples") from None
    if known.type == "cuda":
        check(torch.cuda.is_available(), "no CUDA device here, or torch was built without CUDA: use --device cpu")
        count = torch.cuda.device_count()
        message = f"no device {device!r} here: CUDA devices are counted from 0, and there are {count}"
        check((known.index or 0) < count, message)
    else:
        check_choice("device", known.type, ("cpu", "cuda"))
