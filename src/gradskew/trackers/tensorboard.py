"""TensorBoard's event files."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .base import FileTracker, FinishedRun


@dataclass(frozen=True, kw_only=True)
class TensorBoard(FileTracker):
    """A folder of TensorBoard's event files a run: its metrics by round; its settings and final accuracy as HPARAMS."""

    key: ClassVar[str] = "tensorboard"
    library: ClassVar[str] = "tensorboard"
    suffix: ClassVar[str] = ""

    def log(self, run: FinishedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        with tempfile.TemporaryDirectory(
            prefix=f".{run.stem}.", dir=self.where
        ) as folder:  # renamed when it is complete
            made = Path(folder, run.stem)
            with SummaryWriter(str(made)) as writer:
                writer.add_hparams(run.parameters, run.summary, run_name=".")
                for number, metrics in enumerate(run.metrics):
                    for name, value in metrics.items():
                        writer.add_scalar(name, value, number)
            try:
                made.rename(self.path(run))  # complete
            except OSError:
                if not self.has(run):  # else another process was faster
                    raise
        for left in self.where.glob(f".{run.stem}.*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
