"""MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .base import FinishedRun, Tracker

TAG = "gradskew.run"  # of a run in MLflow: the key of the finished run
MOST, LONGEST = 100, 6000  # parameters in a request, characters of a parameter: MLflow's limits
MOST_METRICS = 1000  # in a request


@dataclass(frozen=True, kw_only=True)
class MLflow(Tracker):
    """MLflow, where its own settings say (MLFLOW_TRACKING_URI); by default the experiment is `gradskew`."""

    key: ClassVar[str] = "mlflow"
    library: ClassVar[str] = "mlflow"
    experiment: str = ""

    def prepare(self) -> None:
        super().prepare()
        self._client()

    def has(self, run: FinishedRun) -> bool:
        return any(each.info.status == "FINISHED" for each in self._found(run))

    def log(self, run: FinishedRun) -> None:
        from mlflow.entities import Metric, Param

        client, now = self._client(), time.time_ns() // 1_000_000
        for unfinished in self._found(run):  # of a process that was killed
            client.delete_run(unfinished.info.run_id)
        made = client.create_run(self._experiment(), tags={TAG: run.key}, run_name=run.title).info.run_id
        settings = [Param(name, str(value)[:LONGEST]) for name, value in run.parameters.items()]
        for start in range(0, len(settings), MOST):
            client.log_batch(made, params=settings[start : start + MOST])
        metrics = [
            Metric(name, value, now, number)
            for number, of_round in enumerate(run.metrics)
            for name, value in of_round.items()
        ]
        metrics += [Metric(name, value, now, len(run.rounds) - 1) for name, value in run.summary.items()]
        for start in range(0, len(metrics), MOST_METRICS):
            client.log_batch(made, metrics=metrics[start : start + MOST_METRICS])
        client.set_terminated(made)

    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient()

    def _experiment(self) -> str:
        """Return the id of the experiment, made if there is none."""
        name = self.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "gradskew"
        client = self._client()
        found = client.get_experiment_by_name(name)
        return str(client.create_experiment(name) if found is None else found.experiment_id)

    def _found(self, run: FinishedRun) -> Sequence[Any]:
        """Return MLflow's runs of this run."""
        found: Sequence[Any] = self._client().search_runs([self._experiment()], f"tags.`{TAG}` = '{run.key}'")
        return found
