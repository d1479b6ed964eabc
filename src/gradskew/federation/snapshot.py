"""A run between two rounds, as bytes: safetensors, with JSON as one of the tensors, and a checksum over all."""

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
from .schema import check_rounds, measured

VERSION = "2"
OWNERS = ("attack", "rule", "server")  # of states
CONTENT = "content"  # the name of the JSON: in the header, of 100 MB at most, there is no room for long runs


class Unfit(ValueError):
    """A snapshot that cannot be of the run that should go on from it."""


@dataclass(frozen=True)
class Snapshot:
    """All that the rounds to come depend on: draws do not count, as each has a generator derived from the seed.

    rounds: the metrics of the rounds so far. others: buffers of the network that no client sends. attack, rule, server:
    their states. pictures: those of the rounds so far. seconds: the time that the rounds took.
    """

    rounds: Sequence[dict[str, Any]]
    params: Tensor
    buffers: Tensor
    others: Sequence[Tensor] = ()
    attack: Mapping[str, Any] = field(default_factory=dict)
    rule: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    seconds: float = 0.0

    def to_bytes(self, digest: str) -> bytes:
        """Return a checkpoint of the run with this digest, as bytes; ValueError for a state that is more than tensors
        and JSON."""
        tensors = {"params": self.params, "buffers": self.buffers}
        tensors |= {f"others.{i}": other for i, other in enumerate(self.others)}
        states: dict[str, dict[str, Any]] = {owner: {} for owner in OWNERS}
        for owner in OWNERS:
            for key, value in getattr(self, owner).items():
                if isinstance(value, Tensor):
                    tensors[f"{owner}.{key}"] = value
                elif simple(value):
                    states[owner][key] = value
                else:
                    raise ValueError(f"the {owner} remembers a {type(value).__name__}, {key!r}")
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
        """Return the snapshot in a checkpoint of the run with this digest; ValueError if it is damaged, or not one."""
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
            if canonical(content) != text or not measured(content["seconds"]):
                raise ValueError("its content is not what a run writes")
            states: dict[str, dict[str, Any]] = {}
            for owner in OWNERS:
                state = content.get(owner, {})  # none of the server in older checkpoints
                own = {name.removeprefix(f"{owner}."): t for name, t in tensors.items() if name.startswith(f"{owner}.")}
                if not all(map(simple, state.values())):
                    raise ValueError(f"the {owner} remembers more than tensors and single values")
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
            )
        except (safetensors.SafetensorError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a checkpoint: {error!r}") from None

    def check_like(self, other: Snapshot, spec: Mapping[str, Any]) -> None:
        """Raise Unfit unless this can be of the run with this spec, of which the other is."""
        for name in ("params", "buffers", "others"):
            mine, theirs = (_layout(getattr(each, name)) for each in (self, other))
            if mine != theirs:
                raise Unfit(f"its {name} are not those of the network")
        try:
            check_rounds(self.rounds, spec)
        except InputError as error:
            raise Unfit(str(error)) from None
        if any(picture.round >= len(self.rounds) for picture in self.pictures):
            raise Unfit("it has pictures of rounds that were not played")


def simple(value: Any) -> bool:
    """Whether JSON keeps the value as it is."""
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
