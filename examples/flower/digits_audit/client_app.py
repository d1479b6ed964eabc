"""A client: it trains on its own digits, and measures the model on them."""

from __future__ import annotations

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from torch import Tensor

from digits_audit.task import Net, shards, test, train

app = ClientApp()


def mine(context: Context) -> tuple[Tensor, Tensor]:
    """The digits of this client."""
    config, node = context.run_config, context.node_config
    every = shards(int(node["num-partitions"]), float(config["beta"]), int(config["seed"]))
    return every[int(node["partition-id"])]


def received(message: Message) -> Net:
    """The server's model."""
    net = Net()
    net.load_state_dict(message.content["arrays"].to_torch_state_dict())
    return net


@app.train()
def train_client(message: Message, context: Context) -> Message:
    torch.set_num_threads(1)
    images, labels = mine(context)
    net, config = received(message), context.run_config
    seed = 1000 * int(config["seed"]) + int(message.content["config"]["server-round"])
    options = (int(config["local-epochs"]), int(config["batch-size"]), float(config["learning-rate"]))
    loss = train(net, images, labels, *options, seed)
    metrics = MetricRecord({"train_loss": loss, "num-examples": len(labels)})
    return Message(RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate_client(message: Message, context: Context) -> Message:
    images, labels = mine(context)
    loss, accuracy = test(received(message), images, labels)
    metrics = MetricRecord({"loss": loss, "accuracy": accuracy, "num-examples": len(labels)})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
