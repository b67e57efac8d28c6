"""The history of a training run as TensorBoard scalars (the ``tensorboard`` extra)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nucleus_unet.extras import require


class ScalarWriter:
    """Writes every entry of a history once, at its number of samples.

    The first call of `write` deletes the event files of earlier processes and writes the whole history: a killed run
    resumes from a checkpoint and computes the later entries again.

    Parameters
    ----------
    folder
        Folder of the event file. It is created if missing.

    Raises
    ------
    MissingExtraError
        TensorBoard is missing. The message names the command that installs it.
    """

    def __init__(self, folder: Path) -> None:
        torch = require("torch.utils.tensorboard", "scalars for TensorBoard need it installed", extra="tensorboard")
        self._new_writer: Callable[[str], Any] = torch.utils.tensorboard.SummaryWriter
        self._folder = folder
        self._writer: Any = None
        self._written = 0

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Write the new entries of a history."""
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
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()


def _tag(name: str) -> str:
    """Return the tag of a scalar. TensorBoard groups training and validation scalars by their prefix."""
    part, _, rest = name.partition("_")
    return f"{part}/{rest}" if part in ("train", "validation") else name
