"""The server: a strategy, and one line that attacks the federation."""

from __future__ import annotations

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Bulyan, FedAvg, FedMedian, FedTrimmedAvg, Krum, MultiKrum, Strategy

from digits_audit.task import Net, initial, test, test_data
from gradskew.flower import RedTeam, Robust

app = ServerApp()


def make_strategy(name: str, rule: str, byzantine: float, nodes: int) -> Strategy:
    """One of Flower's strategies by its name in small letters, with the number of clients that may be Byzantine."""
    f = round(byzantine * nodes)
    common = {"fraction_evaluate": 0.5, "min_available_nodes": nodes}
    if rule:
        return Robust(FedAvg(**common), rule, f=f)
    made = {
        "fedavg": lambda: FedAvg(**common),
        "fedmedian": lambda: FedMedian(**common),
        "fedtrimmedavg": lambda: FedTrimmedAvg(**common, beta=byzantine),
        "krum": lambda: Krum(**common, num_malicious_nodes=f),
        "multikrum": lambda: MultiKrum(**common, num_malicious_nodes=f, num_nodes_to_select=nodes - f),
        "bulyan": lambda: Bulyan(**common, num_malicious_nodes=f),
    }
    return made[name]()


def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
    """The model on the server's own test images."""
    net = Net()
    net.load_state_dict(arrays.to_torch_state_dict())
    loss, accuracy = test(net, *test_data())
    return MetricRecord({"loss": loss, "accuracy": accuracy})


@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    byzantine, seed = float(config["byzantine"]), int(config["seed"])
    nodes = len(list(grid.get_node_ids()))
    strategy = make_strategy(str(config["strategy"]), str(config["rule"]), byzantine, nodes)
    if config["attack"]:
        strategy = RedTeam(strategy, str(config["attack"]), byzantine, seed=seed, out=str(config["out"]))
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(initial(seed).state_dict()),
        num_rounds=int(config["num-server-rounds"]),
        evaluate_fn=evaluate,
    )
