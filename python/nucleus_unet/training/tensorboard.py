"""A run's history as scalars for TensorBoard (the ``tensorboard`` extra)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nucleus_unet.extras import require


class ScalarWriter:
    """Writes every entry of a history once, at its number of samples.

    The first call of `write` puts the whole history in the place of what an earlier process left: a run that was killed
    goes on from a checkpoint, and makes the entries after it anew.

    Parameters
    ----------
    folder
        Of the event file; made if missing.

    Raises
    ------
    MissingExtraError
        TensorBoard is missing; the message names the command.
    """

    def __init__(self, folder: Path) -> None:
        why = "scalars for TensorBoard need it installed"
        torch = require("torch.utils.tensorboard", why, extra="tensorboard")
        self._new_writer: Callable[[str], Any] = torch.utils.tensorboard.SummaryWriter
        self._folder = folder
        self._writer: Any = None
        self._written = 0

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Write the entries that are new."""
        if self._writer is None:
            for path in self._folder.glob("events.out.tfevents.*"):
                path.unlink()
            self._writer = self._new_writer(str(self._folder))
        for entry in history[self._written :]:
            for name, value in entry.items():
                if name != "samples":
                    self._writer.add_scalar(_tag(name), value, round(entry["samples"]))
        self._written = len(history)
        self._writer.flush()

    def close(self) -> None:
        """Let go of the event file."""
        if self._writer is not None:
            self._writer.close()


def _tag(name: str) -> str:
    """Name a scalar so that TensorBoard shows those of training and of validation in groups of their own."""
    part, _, rest = name.partition("_")
    return f"{part}/{rest}" if part in ("train", "validation") else name
