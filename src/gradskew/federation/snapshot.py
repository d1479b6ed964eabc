"""The state of a run between two rounds, stored as safetensors with JSON in one of the tensors, and a checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..core.errors import InputError
from ..core.names import canonical
from ..skew import Picture
from .metrics import as_json
from .schema import check_rounds, is_measured

VERSION = "2"
OWNERS = ("attack", "rule", "server", "local", "momentum")  # whose states a snapshot has
CONTENT = "content"  # the tensor with the JSON, which may exceed the 100 MB of the header


class Unfit(ValueError):
    """A snapshot is not of the run that should continue from it."""


@dataclass(frozen=True)
class Snapshot:
    """All that the next rounds depend on, but for random generators, which are derived from the seed.

    rounds: the metrics so far. others: integer buffers of the network, which no client sends. attack, rule, server,
    local, momentum: their states, the last two what clients remember. pictures: the embeddings so far. seconds: the
    time that the rounds took. previous: the parameters before the last step, which an attack may know; None before the
    first.
    """

    rounds: Sequence[dict[str, Any]]
    params: Tensor
    buffers: Tensor
    others: Sequence[Tensor] = ()
    attack: Mapping[str, Any] = field(default_factory=dict)
    rule: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    local: Mapping[str, Any] = field(default_factory=dict)
    momentum: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    seconds: float = 0.0
    previous: Tensor | None = None

    def of(self, owner: str, device: torch.device) -> dict[str, Any]:
        """Return the state of an owner with its tensors on a device."""
        state: Mapping[str, Any] = getattr(self, owner)
        return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in state.items()}

    def to_bytes(self, digest: str) -> bytes:
        """Return a checkpoint of the run with this digest; ValueError for a state beyond tensors and JSON values."""
        tensors = {"params": self.params, "buffers": self.buffers}
        tensors |= {} if self.previous is None else {"previous": self.previous}
        tensors |= {f"others.{i}": other for i, other in enumerate(self.others)}
        states: dict[str, dict[str, Any]] = {owner: {} for owner in OWNERS}
        for owner in OWNERS:
            for key, value in getattr(self, owner).items():
                if isinstance(value, Tensor):
                    tensors[f"{owner}.{key}"] = value
                elif is_simple(value):
                    states[owner][key] = value
                else:
                    raise ValueError(f"the state of the {owner} has {key!r} of type {type(value).__name__}")
        content = canonical(
            {
                **states,
                "digest": digest,
                "rounds": list(self.rounds),
                "pictures": [picture.to_json() for picture in self.pictures],
                "seconds": self.seconds,
            }
        )
        flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        flat[CONTENT] = torch.frombuffer(bytearray(content.encode()), dtype=torch.uint8)
        return safetensors.torch.save(flat, {"version": VERSION, "sha256": _checksum(flat)})

    @classmethod
    def from_bytes(cls, data: bytes, digest: str) -> Snapshot:
        """Return the snapshot in a checkpoint; ValueError if it is damaged, or not of the run with this digest."""
        try:
            tensors = safetensors.torch.load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            if header["version"] != VERSION:
                raise ValueError(f"it has version {header['version']}, not {VERSION}")
            if header["sha256"] != _checksum(tensors):
                raise ValueError("its checksum does not match")
            text = bytes(tensors.pop(CONTENT).numpy()).decode("ascii")
            content = json.loads(text)
            if content["digest"] != digest:
                raise ValueError("it belongs to another run")
            if canonical(content) != text or not is_measured(content["seconds"]):
                raise ValueError("its content is not what a run writes")
            states: dict[str, dict[str, Any]] = {}
            for owner in OWNERS:
                state = content.get(owner, {})  # older checkpoints have not all of them
                own = {name.removeprefix(f"{owner}."): t for name, t in tensors.items() if name.startswith(f"{owner}.")}
                if not all(map(is_simple, state.values())):
                    raise ValueError(f"the state of the {owner} has more than tensors and single values")
                states[owner] = {**state, **own}
            others = [tensors[f"others.{i}"] for i in range(sum(name.startswith("others.") for name in tensors))]
            drawn = [Picture.from_json(entry) for entry in content["pictures"]]
            return cls(
                rounds=content["rounds"],
                params=tensors["params"],
                buffers=tensors["buffers"],
                others=others,
                **states,
                pictures=drawn,
                seconds=content["seconds"],
                previous=tensors.get("previous"),
            )
        except (safetensors.SafetensorError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a checkpoint: {error!r}") from None

    def check_like(self, other: Snapshot, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the metrics of the rounds; Unfit unless this can be a snapshot of the run with this spec.

        other: a snapshot of that run.
        """
        for name in ("params", "buffers", "others"):
            mine, theirs = (_layout(getattr(each, name)) for each in (self, other))
            if mine != theirs:
                raise Unfit(f"its {name} are not those of the network")
        if self.previous is not None and _layout(self.previous) != _layout(other.params):
            raise Unfit("its previous parameters are not those of the network")
        try:
            rounds = [as_json(made) for made in check_rounds(self.rounds, spec)]
        except InputError as error:
            raise Unfit(str(error)) from None
        if any(picture.round >= len(self.rounds) for picture in self.pictures):
            raise Unfit("it has pictures of rounds that have not run")
        return rounds


def is_simple(value: Any) -> bool:
    """Return whether a value is the same after it was written as JSON and read again."""
    return value is None or type(value) in (bool, int, float, str)


def _layout(tensors: Tensor | Sequence[Tensor]) -> list[tuple[torch.Size, torch.dtype]]:
    """Return the shape and type of a tensor, or of each of several."""
    return [(each.shape, each.dtype) for each in ([tensors] if isinstance(tensors, Tensor) else tensors)]


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return total.hexdigest()
