"""Weights & Biases."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import ClassVar

from ..core.errors import InputError
from ..core.files import write
from .base import FileTracker, FinishedRun

OFFLINE = ("offline", "dryrun", "disabled")  # modes that need no account


@dataclass(frozen=True, kw_only=True)
class WandB(FileTracker):
    """Weights & Biases, by its own settings (WANDB_MODE, WANDB_DIR, ...); by default the project is `gradskew`."""

    key: ClassVar[str] = "wandb"
    library: ClassVar[str] = "wandb"
    suffix: ClassVar[str] = ".json"  # a file for each run that is logged, as an offline run cannot be asked for
    project: str = ""

    def prepare(self) -> None:
        super().prepare()
        import wandb

        if wandb.setup().settings.mode not in OFFLINE and not _has_account():
            raise InputError("--log wandb has no account: run `wandb login`, or set WANDB_MODE=offline")

    def log(self, run: FinishedRun) -> None:
        import wandb

        quiet = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True)
        project = self.project or os.environ.get("WANDB_PROJECT") or "gradskew"
        identity = "-".join(filter(None, (run.digest[:32], run.stamp)))  # 64 characters at most
        with wandb.init(
            project=project,
            id=identity,
            name=run.title,
            config=run.parameters,
            dir=os.environ.get("WANDB_DIR") or str(self.where),
            resume="allow",
            reinit="create_new",  # leaves a run of the user's alone
            settings=quiet,
        ) as logged:
            for number, metrics in enumerate(run.metrics):
                logged.log(metrics, step=number)
            logged.summary.update(run.summary)
        write(self.path(run), json.dumps({"project": project, "id": identity, "name": run.title}) + "\n")


def _has_account() -> bool:
    """Return whether an account is known, without asking for one."""
    import wandb

    try:
        return bool(wandb.login(prompt=False))
    except TypeError:  # of wandb before 0.31
        return bool(wandb.api.api_key)
