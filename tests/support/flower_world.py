"""A Flower federation without an engine: models, replies and a grid made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MessageType, MetricRecord, RecordDict

Arrays = Mapping[str, object]


def record(arrays: Arrays) -> ArrayRecord:
    """Return an ArrayRecord; lists become float32 arrays."""
    typed = {name: np.asarray(value, "f" if isinstance(value, list) else None) for name, value in arrays.items()}
    return ArrayRecord({name: Array(value) for name, value in typed.items()})


def numbers(arrays: ArrayRecord) -> dict[str, list]:
    return {name: array.numpy().tolist() for name, array in arrays.items()}


def ask(node: int, arrays: ArrayRecord | None = None) -> Message:
    content = RecordDict({"arrays": arrays or ArrayRecord(), "config": ConfigRecord()})
    return Message(content, dst_node_id=node, message_type=MessageType.TRAIN)


def reply(node: int, arrays: Arrays | ArrayRecord, **metrics: object) -> Message:
    """Return a client's reply; `num-examples` is 1 by default."""
    arrays = arrays if isinstance(arrays, ArrayRecord) else record(arrays)
    given = {"num-examples": metrics.pop("examples", 1), **metrics}
    return Message(RecordDict({"arrays": arrays, "metrics": MetricRecord(given)}), reply_to=ask(node))


def failure(node: int) -> Message:
    return Message(Error(code=1, reason="it dropped out"), reply_to=ask(node))


class Grid:
    """A Flower grid whose replies come from `train(node, model, round)`."""

    def __init__(self, nodes: Iterable[int], train: Callable[[int, ArrayRecord, int], Message | None]):
        self.nodes, self.train, self.sent = list(nodes), train, 0

    def get_node_ids(self) -> list[int]:
        return self.nodes

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        answers = []
        for message in messages:
            node = message.metadata.dst_node_id
            arrays, round = message.content["arrays"], message.content["config"]["server-round"]
            if message.metadata.message_type == MessageType.TRAIN:
                answers.append(self.train(node, arrays, round))
                self.sent += 1
            else:
                metrics = MetricRecord({"accuracy": float(arrays["w"].numpy().sum()), "num-examples": 1})
                answers.append(Message(RecordDict({"metrics": metrics}), reply_to=message))
        return [answer for answer in answers if answer is not None]


def trained(node: int, arrays: ArrayRecord, round: int) -> Message:
    """Return the reply of a client of d = 100 that moves halfway to its own target model."""
    target = np.random.default_rng(node).normal(1.0, 1.0, 100).astype("f")
    w = arrays["w"].numpy()
    return reply(node, {"w": w + (target - w) / 2}, examples=1 + node % 3, loss=float(node))
