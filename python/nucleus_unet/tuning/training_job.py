"""What the trials of a study have in common, and how one is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from nucleus_unet.data.dataset import Example
from nucleus_unet.data.folds import hold_out_images
from nucleus_unet.inference.devices import choose_device
from nucleus_unet.inference.torch import TorchNetwork, choose_precision
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.network import Network
from nucleus_unet.training.checkpoint import plain
from nucleus_unet.training.trainer import Run, TrainConfig, fingerprint, train
from nucleus_unet.training.validation import predict_examples, validate
from nucleus_unet.tuning.search_space import Space, configured

FIGURE = "validation_per_image_mean_ap"

Report = Callable[[int, float], None]
"""Gets the samples seen and the figure; raises `optuna.TrialPruned` to stop the trial."""


class Job:
    """What trials have in common, and how one is run."""

    def __init__(
        self,
        examples: Sequence[Example],
        space: Space,
        base: TrainConfig,
        *,
        folds: int,
        device: str,
        workers: int,
    ) -> None:
        self.training, self.held_out = hold_out_images(examples, folds=folds, category=None, seed=base.seed)
        self.space, self.base = space, base
        self.folds, self.device, self.workers = folds, device, workers

    def stated(self) -> dict[str, Any]:
        """Return what must be the same in all calls of a study, as plain JSON types."""
        return {
            "space": plain(self.space),
            "base": plain(self.base),
            "folds": self.folds,
            "training images": fingerprint(sorted(self.training, key=lambda example: example.name)),
            "held-out images": fingerprint(sorted(self.held_out, key=lambda example: example.name)),
        }

    def run(self, settings: Mapping[str, Any], folder: Path, report: Report, *, device: str | None = None) -> float:
        """Train with a trial's settings, or go on training, and return the figure of the model.

        Parameters
        ----------
        settings
            Settings by name.
        folder
            Folder of the checkpoints.
        report
            Called at every validation.
        device
            Device of this trial; None for that of all trials.

        Raises
        ------
        DataError, torch.OutOfMemoryError
            These settings cannot be trained with; others may do.
        """
        config = configured(self.base, settings)
        chosen = torch.device(choose_device(device or self.device))
        precision = choose_precision(chosen, config.precision)
        figure: float | None = None

        def measure(network: Network) -> dict[str, float]:
            return validate(predict_examples(TorchNetwork(network, chosen, precision), self.held_out), GroupConfig())

        def follow(run: Run) -> None:
            nonlocal figure
            figure = run.history[-1][FIGURE]
            report(run.position, figure)

        network = train(
            config, self.training, folder, validate=measure, device=str(chosen), workers=self.workers, report=follow
        )
        # A trial that was killed after its last sample has nothing more to report.
        return measure(network.to(chosen))[FIGURE] if figure is None else figure
