"""Run Robust and RedTeam on 20 nodes in Flower's simulation engine; print the results as JSON on the last line.

python flower_simulation.py FOLDER
"""

from __future__ import annotations

import json
import sys

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Krum
from flwr.simulation import run_simulation

NODES, ROUNDS = 20, 2


def client_app() -> ClientApp:
    """Return NumPy clients: each moves halfway to its own target model; one sends NaN."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        part = int(context.node_config["partition-id"])
        w = message.content["arrays"]["w"].numpy()
        target = np.random.default_rng(part).normal(1.0, 1.0, len(w)).astype("f")
        w = np.full_like(w, np.nan) if part == 7 else w + (target - w) / 2
        metrics = MetricRecord({"num-examples": 1, "part": part})
        return Message(RecordDict({"arrays": ArrayRecord({"w": Array(w)}), "metrics": metrics}), reply_to=message)

    return app


def server_app(found: dict, out: str) -> ServerApp:
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        from gradskew.flower import RedTeam, Robust

        model = ArrayRecord({"w": Array(np.zeros(100, "f"))})
        robust = Robust(FedAvg(fraction_evaluate=0.0), "median", f=4)
        found["w"] = robust.start(grid, model, num_rounds=ROUNDS).arrays["w"].numpy().tolist()
        found["rejected"] = [list(seen["rejected"].values()) for seen in robust.rounds]
        team = RedTeam(Krum(fraction_evaluate=0.0, num_malicious_nodes=4), out=out, rules=["mean"])
        team.start(grid, model, num_rounds=ROUNDS)
        found["trainings"] = [[each.attack, len(each.rounds)] for each in team.journal.trainings]
        found["byzantine"] = [seen["byzantine_rows"] for seen in team.journal.trainings[1].rounds]

    return app


if __name__ == "__main__":
    found: dict = {}
    local = {"address": "local", "num_cpus": 1}  # a cluster of its own, whatever another one has left behind
    backend = {"client_resources": {"num_cpus": 1, "num_gpus": 0}, "init_args": local}
    run_simulation(server_app(found, sys.argv[1]), client_app(), NODES, backend_config=backend)
    print(json.dumps(found))
