"""Small studies, and jobs that play their trials."""

from __future__ import annotations

import csv
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nucleus_unet.data.dataset import Example
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.training.augmentation import AugmentConfig
from nucleus_unet.training.trainer import TrainConfig
from nucleus_unet.tuning import Space, study, tune
from nucleus_unet.tuning.search_space import Range
from nucleus_unet.tuning.training_job import Job, Report

from helpers.images import draw_discs

TINY = TrainConfig(
    network=NetworkConfig(form="plain", width=4, depth=1),
    augment=AugmentConfig(crop=64),
    pretrained=False,
    samples=4,
    batch_size=2,
    validate_every=2,
    precision="float32",
)
SPACE = Space({"dropout": Range(0.0, 0.5), "batch_size": (1, 2), "decoder": ([8, 8, 8, 8], [16, 8, 8, 8])})


def example(number: int) -> Example:
    image = draw_discs((64, 64), [(20, 20, 8), (44, 40 + number, 7)])
    return Example(f"{number}", "discs", image, (image > 100).astype(np.uint32), f"{number}")


EXAMPLES = [example(number) for number in range(4)]


def run(out: Path, *, trials: int, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"space": SPACE, "base": TINY, "folds": 2, "device": "cpu", "workers": 0}
    return tune(EXAMPLES, out, trials=trials, **settings | options)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


PATIENCE = 120.0


class PlayedJob(Job):
    """Plays a trial instead of training it; ``scene`` is a folder that the players tell each other things through."""

    scene: Path

    def run(self, settings: Mapping[str, Any], folder: Path, report: Report, *, device: str | None = None) -> float:
        dropout = settings["dropout"]
        folder.mkdir(parents=True, exist_ok=True)
        with (self.scene / "begun").open("a") as file:
            file.write(f"{os.getpid()},{folder.name},{dropout},{torch.get_num_threads()},{device}\n")
        self.play(folder.name)
        report(4, dropout)
        return float(dropout)

    def play(self, name: str) -> None:
        """Do what the test is about, in the trial whose folder has that name."""


class MeetingJob(PlayedJob):
    def play(self, name: str) -> None:
        wait_until(lambda: len({pid for pid, *_ in begun(self.scene)}) == 2)


class DyingOnceJob(PlayedJob):
    def play(self, name: str) -> None:
        if name == "1" and not (self.scene / "died").exists():
            (self.scene / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)


class BrokenJob(PlayedJob):
    def play(self, name: str) -> None:
        raise OSError("no space left")


class StuckJob(PlayedJob):
    def play(self, name: str) -> None:
        if name != "0":
            time.sleep(PATIENCE)


def begun(scene: Path) -> list[list[str]]:
    """Process, folder, dropout, threads and device of every trial that was begun."""
    return [line.split(",") for line in (scene / "begun").read_text().splitlines()]


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def is_gone(process: int) -> bool:
    """Whether a process has ended, perhaps with nobody having asked how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def play(patch: pytest.MonkeyPatch, scene: Path, job: type[PlayedJob]) -> None:
    scene.mkdir(exist_ok=True)

    def cast(*arguments: Any, **options: Any) -> PlayedJob:
        played = job(*arguments, **options)
        played.scene = scene
        return played

    patch.setattr(study, "Job", cast)


class StuckAtThirdJob(PlayedJob):
    def play(self, name: str) -> None:
        if name == "2":
            time.sleep(PATIENCE)


class KillerJob(PlayedJob):
    """Kills the other machine in its first trial."""

    def play(self, name: str) -> None:
        other = int(begun(self.scene)[0][0])
        if (self.scene / "killed").exists():
            return
        os.kill(other, signal.SIGKILL)
        (self.scene / "killed").touch()
