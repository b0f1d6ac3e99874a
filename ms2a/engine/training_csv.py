"""What a training logs, as one table that spreadsheets open."""

import csv
import io
from pathlib import Path
from typing import Any

from mmcv.runner import HOOKS, LoggerHook

from ms2a.artefacts import write_text

TRAINING_CSV = "training.csv"
FIRST_COLUMNS = ("mode", "epoch", "iteration")
_OTHER_NAMES = {"learning_rate": "lr"}


def read_training(path: Path) -> list[dict[str, Any]]:
    """The rows of a ``training.csv``: ``mode`` as text, whatever else is not empty as a number."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        {key: value if key == "mode" else float(value) for key, value in row.items() if key and value} for row in rows
    ]


@HOOKS.register_module()
class CsvLoggerHook(LoggerHook):
    """Writes ``training.csv`` to the work folder at the end of each epoch, whole or not at all.

    A row has ``mode`` (train or val), ``epoch`` as a fraction, ``iteration`` counted over all epochs, ``lr``,
    ``momentum``, losses, ``time`` and ``data_time`` in seconds an iteration, and scores. A resumed run keeps the rows
    up to its checkpoint.
    """

    def before_run(self, runner) -> None:
        """Takes over the rows of a run that is resumed."""
        super().before_run(runner)
        self._path = Path(runner.work_dir, TRAINING_CSV)
        known = read_training(self._path) if runner.iter and self._path.exists() else []
        self._rows = [row for row in known if row["iteration"] <= runner.iter]

    def log(self, runner) -> None:
        """Adds a row."""
        mode = self.get_mode(runner)
        # The runner counts an iteration when its hooks are done; scores come after the epoch's last.
        done = runner.iter + (mode == "train")
        row = {"mode": mode, "epoch": round(done / len(runner.data_loader), 4), "iteration": done}
        tags = self.get_loggable_tags(runner, add_mode=False, tags_to_skip=())
        self._rows.append(row | {_OTHER_NAMES.get(name, name): value for name, value in tags.items()})

    def after_train_epoch(self, runner) -> None:
        """Writes all rows so far."""
        super().after_train_epoch(runner)
        if runner.rank == 0:
            self._write()

    def after_run(self, runner) -> None:
        """Writes what came after the last epoch."""
        super().after_run(runner)
        if runner.rank == 0 and self._rows:
            self._write()

    def _write(self) -> None:
        columns = list(dict.fromkeys([*FIRST_COLUMNS, *(key for row in self._rows for key in row)]))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(text.getvalue(), self._path)
