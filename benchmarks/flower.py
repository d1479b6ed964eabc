"""Flower's own strategies, and two of our rules inside FedAvg, under attacks, in Flower's simulation engine.

    python benchmarks/flower.py --seeds 3

The federation is that of examples/flower: 20 nodes, scikit-learn's digits, Dirichlet(0.3). For each seed one simulation
is started, and all trainings run in it one after another, with the same clients, model, and Byzantine nodes. Which
clients these are differs from call to call, as Flower draws the ids of its nodes anew. Prints the table of
docs/flower.md and writes all figures to --out.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, stdev

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "FLWR_TELEMETRY_ENABLED": "0"}
sys.path.insert(0, str(Path(__file__).parent.parent / "examples" / "flower"))

import torch
from digits_audit.server_app import evaluate, make_strategy
from digits_audit.task import Net, initial, shards, train
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.simulation import run_simulation

from gradskew.flower import RedTeam, Robust

NODES, SHARE, BETA = 20, 0.2, 0.3
EPOCHS, BATCH, RATE = 5, 16, 0.1
STRATEGIES = {
    "FedAvg": ("fedavg", ""),
    "FedMedian": ("fedmedian", ""),
    "FedTrimmedAvg": ("fedtrimmedavg", ""),
    "Krum": ("krum", ""),
    "MultiKrum": ("multikrum", ""),
    "Bulyan": ("bulyan", ""),
    "Robust(FedAvg, rfa)": ("fedavg", "rfa"),
    "Robust(FedAvg, nnm+multikrum)": ("fedavg", "nnm+multikrum"),
}
ATTACKS = ("none", "lie", "strike")


def client_app(seed: int) -> ClientApp:
    """The example's client with fixed options: a simulation from Python has no run config."""
    app = ClientApp()

    @app.train()
    def train_client(message: Message, context: Context) -> Message:
        torch.set_num_threads(1)
        images, labels = shards(NODES, BETA, seed)[int(context.node_config["partition-id"])]
        net = Net()
        net.load_state_dict(message.content["arrays"].to_torch_state_dict())
        draw = 1000 * seed + int(message.content["config"]["server-round"])
        loss = train(net, images, labels, EPOCHS, BATCH, RATE, draw)
        metrics = MetricRecord({"train_loss": loss, "num-examples": len(labels)})
        return Message(RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics}), reply_to=message)

    return app


def play(seed: int, rounds: int, names: list[str]) -> list[dict]:
    """All cells of the table with one seed, in one simulation."""
    cells: list[dict] = []
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        for name in names:
            for attack in ATTACKS:
                began = time.perf_counter()
                strategy = make_strategy(*STRATEGIES[name], SHARE, NODES)
                averaging = strategy.strategy if isinstance(strategy, Robust) else strategy
                averaging.fraction_evaluate = 0.0  # the server's own test images are enough
                with tempfile.TemporaryDirectory() as out:
                    team = RedTeam(strategy, attack, SHARE, reference=False, seed=seed, out=out, rules=())
                    initial_arrays = ArrayRecord(initial(seed).state_dict())
                    team.start(grid, initial_arrays, num_rounds=rounds, evaluate_fn=evaluate)
                training = team.journal.trainings[-1]
                kappas = [r["lens"]["kappa"] for r in training.rounds if r["lens"]["kappa"] is not None]
                shares = [r["byzantine_share"] for r in training.rounds if r["byzantine_share"] is not None]
                cell = {"strategy": name, "attack": attack, "seed": seed, "seconds": time.perf_counter() - began}
                cell |= {"accuracy": training.final("server", "accuracy"), "kappa": fmean(kappas)}
                cell["byzantine_share"] = fmean(shares) if shares else None
                cells.append(cell)
                print(cell, file=sys.stderr, flush=True)

    backend = {"client_resources": {"num_cpus": 1, "num_gpus": 0}, "init_args": {"address": "local"}}
    run_simulation(app, client_app(seed), NODES, backend_config=backend)
    return cells


def table(cells: list[dict]) -> str:
    """Accuracy and kappa of each strategy under each attack: mean over seeds, ± their sample standard deviation."""
    lines = ["| strategy | " + " | ".join(f"{a}: accuracy | kappa" for a in ATTACKS) + " | Byzantine weight, STRIKE |"]
    lines.append("|---" * (2 * len(ATTACKS) + 2) + "|")
    for name in dict.fromkeys(cell["strategy"] for cell in cells):
        row = [name]
        for attack in ATTACKS:
            here = [cell for cell in cells if (cell["strategy"], cell["attack"]) == (name, attack)]
            accuracies, kappas = ([cell[key] for cell in here] for key in ("accuracy", "kappa"))
            row += [f"{fmean(accuracies):.1f} ±{stdev(accuracies):.1f}", f"{fmean(kappas):.2f}"]
        shares = [cell["byzantine_share"] for cell in here if cell["byzantine_share"] is not None]
        row.append(f"{100 * fmean(shares):.0f} %" if shares else "per coordinate")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--strategies", default=",".join(STRATEGIES).replace(", ", "; "), help="some of them, by name")
    parser.add_argument("--out", type=Path, default=Path("flower-table.json"))
    given = parser.parse_args()
    names = [name.replace("; ", ", ") for name in given.strategies.split(",")]
    logging.getLogger("flwr").setLevel(logging.WARNING)
    cells = json.loads(given.out.read_text()) if given.out.exists() else []
    for seed in range(given.seeds):
        done = {cell["strategy"] for cell in cells if cell["seed"] == seed}
        if todo := [name for name in names if name not in done]:
            cells += play(seed, given.rounds, todo)
            given.out.write_text(json.dumps(cells, indent=1) + "\n")
    print(table(cells))


if __name__ == "__main__":
    main()
