"""The wrappers in Flower's own simulation engine, and the example app."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr.serverapp.strategy", reason="needs flwr: pip install 'gradskew[flower]'")

EXAMPLE = Path(__file__).parents[2] / "examples" / "flower"


@pytest.mark.ray
@pytest.mark.processes
def test_twenty_nodes_in_the_simulation_engine(tmp_path):
    """The median of the 19 models of finite numbers, by hand; node 7's partition sends NaN."""
    pytest.importorskip("ray", reason="needs Flower's simulation engine: pip install 'flwr[simulation]'")
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "FLWR_TELEMETRY_ENABLED": "0", "FLWR_HOME": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | quiet
    program = [
        sys.executable,
        str(Path(__file__).parents[1] / "support" / "flower_simulation.py"),
        str(tmp_path / "out"),
    ]
    ended = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    targets = np.array([np.random.default_rng(part).normal(1.0, 1.0, 100) for part in range(20) if part != 7])
    np.testing.assert_allclose(found["w"], 0.75 * np.median(targets, 0), rtol=1e-5, atol=1e-6)
    assert found["rejected"] == [["NaN or infinity"]] * 2
    assert found["trainings"] == [["none", 2], ["strike", 2]]
    assert all(count in (3, 4) for count in found["byzantine"])  # 3 if the one that sends NaN was drawn
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.html", "rounds.json"}


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    return tomllib.loads((EXAMPLE / "pyproject.toml").read_text())


def test_the_example_is_an_app(example):
    from digits_audit import client_app, server_app

    components = example["tool"]["flwr"]["app"]["components"]
    assert components == {"serverapp": "digits_audit.server_app:app", "clientapp": "digits_audit.client_app:app"}
    assert client_app.app is not server_app.app
    for name in ("FedAvg", "FedMedian", "FedTrimmedAvg", "Krum", "MultiKrum", "Bulyan"):
        made = server_app.make_strategy(name.lower(), "", 0.2, 20)
        assert type(made).__name__ == name
        assert getattr(made, "num_malicious_nodes", 4) == 4
    assert server_app.make_strategy("fedavg", "nnm+rfa", 0.2, 20).f == 4


def test_the_example_learns(example):
    """A client's five epochs on its own digits, scored on them."""
    from digits_audit.task import initial, shards, test, train

    images, labels = shards(20, 0.3, 0)[0]
    net = initial(0)
    before = test(net, images, labels)
    train(net, images, labels, epochs=5, batch_size=16, lr=0.1, seed=0)
    assert test(net, images, labels)[0] < before[0]
    assert sum(len(labels) for _, labels in shards(20, 0.3, 0)) == 1437
