"""Train the network: Muon and AdamW, a moving average of the weights, and schedules that count samples.

A run is a folder. It can be killed at any moment and started again with the same call; it goes on from its last
checkpoint and ends with the very weights it would have had (on the CPU, bit for bit).
"""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.inference.torch import autocast, choose_precision
from nucleus_unet.io.locks import locked
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.network import LiteUNet, Network, network_of
from nucleus_unet.model.precision import Precision
from nucleus_unet.training.augmentation import AugmentConfig
from nucleus_unet.training.checkpoint import plain, read_facts, restore_checkpoint, save_checkpoint
from nucleus_unet.training.distributed import Processes, join_processes
from nucleus_unet.training.losses import Batch, losses
from nucleus_unet.training.optimiser import make_optimiser
from nucleus_unet.training.sample_stream import SampleStream, load_batches
from nucleus_unet.training.validation_loss import DICE_WEIGHT, HEAT_WEIGHT, OFFSET_WEIGHT

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
# Seconds: the processes that draw the samples of a killed one hold its lock until they notice, within five.
_LOCK_PATIENCE = 10.0
_GRADIENT_NORM = 5.0
# What a run may be told anew when it goes on: none of it changes the weights up to where it stopped.
_CHANGEABLE = ("samples", "checkpoint_every", "validate_every")


@dataclass(frozen=True)
class TrainConfig:
    """All that a training run is told.

    Attributes
    ----------
    network, augment
        Shape of the network; how samples are made.
    pretrained
        Start the encoder from ImageNet weights.
    samples
        How many samples the run sees. Raising it extends a run that has not begun its final decay.
    batch_size
        Samples a step, of all processes together.
    learning_rate
        Its plateau; a pretrained encoder gets half of it. It warms up over ``warmup`` samples, and over the last
        ``decay`` share of the samples it falls to 0 as 1 - sqrt (Hägele et al. 2024), and augmentation is final_phase.
    weight_decay
        Of convolution weights only.
    dice_weight, heat_weight, offset_weight
        What the parts of the loss weigh against the foreground's cross-entropy.
    average
        Decay of the moving average of the weights, per step; the average is what is kept.
    seed
        Of initialisation, samples and dropout.
    precision
        ``"auto"`` computes in bfloat16 where the hardware does.
    checkpoint_every, validate_every
        In samples.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    pretrained: bool = True
    samples: int = 48_000
    batch_size: int = 8
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    dice_weight: float = DICE_WEIGHT
    heat_weight: float = HEAT_WEIGHT
    offset_weight: float = OFFSET_WEIGHT
    warmup: int = 1_600
    decay: float = 0.4
    average: float = 0.999
    seed: int = 0
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    checkpoint_every: int = 1_600
    validate_every: int = 8_000

    def __post_init__(self) -> None:
        positive = ("samples", "batch_size", "learning_rate", "checkpoint_every", "validate_every")
        for name in positive:
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("dice_weight", "heat_weight", "offset_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SettingsError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if self.samples % self.batch_size:
            raise SettingsError(f"samples: expected a multiple of batch_size={self.batch_size}, got {self.samples}")
        if not 0 <= self.seed < 2**32:
            raise SettingsError(f"seed: expected 0 to {2**32 - 1}, got {self.seed}")
        if not 0 <= self.decay <= 1 or not 0 <= self.average < 1:
            raise SettingsError(f"expected decay in [0, 1] and average in [0, 1), got {self.decay}, {self.average}")

    @property
    def decay_start(self) -> int:
        """Number of the sample at which the learning rate begins to fall."""
        return round(self.samples * (1 - self.decay))

    def learning_rate_at(self, position: int) -> float:
        """Learning rate of the step that starts at sample ``position``."""
        rate = self.learning_rate * min(1.0, (position + self.batch_size) / max(self.warmup, 1))
        if position > self.decay_start:
            rate *= 1 - math.sqrt((position - self.decay_start) / (self.samples - self.decay_start))
        return rate


def check_origin(config: TrainConfig, origin: Bundle) -> None:
    """Find out whether a run can start from the weights of a model.

    Raises
    ------
    SettingsError
        The configuration asks for a network of another shape, or for ImageNet weights.
    """
    if config.pretrained:
        raise SettingsError(f"pretrained: weights start from the model {origin.config.name!r}, not from ImageNet's")
    asked, given = config.network.to_json(), origin.config.network.to_json()
    differing = [name for name in asked if name != "dropout" and asked[name] != given[name]]
    if differing:
        shapes = ", ".join(f"{name} {given[name]} (asked for: {asked[name]})" for name in differing)
        raise SettingsError(
            f"the model {origin.config.name!r} that training starts from has {shapes}: leave the network's shape to it"
        )


@dataclass
class Run:
    """A training run in memory."""

    config: TrainConfig
    network: Network
    average: Network
    optimiser: torch.optim.Optimizer
    processes: Processes
    precision: Precision
    shared: nn.Module
    origin: str | None = None
    position: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


Validate = Callable[[Network], dict[str, float]]


def train(
    config: TrainConfig,
    examples: Sequence[Example],
    folder: Path,
    *,
    origin: Bundle | None = None,
    validate: Validate | None = None,
    device: str = "auto",
    workers: int = 1,
    report: Callable[[Run], None] | None = None,
) -> Network:
    """Train, or go on training, in ``folder``.

    Several processes that ``torchrun`` started train together: each computes its share of every batch, and the first
    writes and validates. Batch normalisation sees a process's own share, and the history tells of the first's.

    Parameters
    ----------
    config
        What to do. A checkpoint in the folder must have been made with the same; but ``samples`` may grow (see there),
        and ``checkpoint_every`` and ``validate_every`` may change.
    examples
        Training images; a run that goes on must be given the same.
    folder
        Where checkpoints go.
    origin
        The model to fine-tune: weights start from its. A run that goes on must be given the same.
    validate
        Called with the averaged network every ``config.validate_every`` samples; what it returns joins the history,
        which begins with what it returns of ``origin``.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
    workers
        Processes that draw samples beside the one that trains.
    report
        Called after every entry of the history, for curves and progress.

    Returns
    -------
    Network
        The averaged network, in evaluation mode, on the CPU.

    Raises
    ------
    SettingsError
        If the folder holds a run with another configuration or origin, another process trains in it, or the
        configuration contradicts the origin.
    DataError
        If the checkpoint is damaged, or there is nothing to train on.
    """
    if not any(example.labels.any() for example in examples):
        raise DataError(f"expected labelled nuclei to train on, found none in {len(examples)} images")
    processes = join_processes(device)
    share = processes.share(config.batch_size)
    run = _start(config, processes, origin)
    folder.mkdir(parents=True, exist_ok=True)
    busy = f"another process is training in {folder}: wait for it, or choose another folder"
    with locked(folder, patience=_LOCK_PATIENCE, busy=busy) if processes.first else nullcontext():
        checkpoint = folder / CHECKPOINT
        digest = fingerprint(examples)
        if checkpoint.exists():
            _resume(run, checkpoint, digest)
        stream = SampleStream(
            examples, config.augment, seed=config.seed, length=config.samples, final_phase_from=config.decay_start
        )
        batches = load_batches(
            stream,
            start=run.position,
            batch_size=config.batch_size,
            share=share,
            workers=workers,
            device=processes.device,
        )
        if origin is not None and validate is not None and run.position == 0 and processes.first:
            run.history.append({"samples": 0.0, **validate(run.average)})
            if report is not None:
                report(run)
        totals, started = _Totals(), time.monotonic()
        for batch in batches:
            totals.add(_step(run, batch.to(processes.device)))
            if not processes.first:
                continue
            done = run.position == config.samples
            if done or run.position % config.validate_every < config.batch_size:
                entry = {"samples": float(run.position), **totals.means()}
                entry["learning_rate"] = config.learning_rate_at(run.position)
                entry["samples_per_second"] = totals.count * config.batch_size / (time.monotonic() - started)
                if validate is not None:
                    entry |= validate(run.average)
                run.history.append(entry)
                totals, started = _Totals(), time.monotonic()
                if report is not None:
                    report(run)
            if done or run.position % config.checkpoint_every < config.batch_size:
                _save(run, checkpoint, digest)
    return run.average.eval().cpu()


class _Totals:
    """Means of the losses since the last entry of the history."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, float] = {}

    def add(self, parts: dict[str, float]) -> None:
        self.count += 1
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        return {name: value / self.count for name, value in self._sums.items()} if self.count else {}


def _start(config: TrainConfig, processes: Processes, origin: Bundle | None) -> Run:
    torch.manual_seed(config.seed)
    if origin is not None:
        check_origin(config, origin)
    network = Network(config.network)
    if origin is not None:
        network.load_state_dict(network_of(origin).state_dict())
    elif config.pretrained and isinstance(network.form, LiteUNet):
        network.form.load_imagenet()
    network.to(processes.device)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimiser = make_optimiser(
        network,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        pretrained=config.pretrained and isinstance(network.form, LiteUNet),
    )
    precision = choose_precision(processes.device, config.precision)
    origin_digest = None if origin is None else origin.fingerprint
    return Run(config, network, average, optimiser, processes, precision, processes.shared(network), origin_digest)


def _step(run: Run, batch: Batch) -> dict[str, float]:
    # Dropout draws from a generator that is set anew for every step, so a resumed run draws the same.
    torch.manual_seed(run.config.seed * 1_000_003 + run.position + run.processes.rank)
    rate = run.config.learning_rate_at(run.position)
    for group in run.optimiser.param_groups:
        group["lr"] = rate * group["share"]
    run.network.train()
    with autocast(run.processes.device, run.precision):
        output = run.shared(batch.image)
    parts = losses(output, batch)
    run.optimiser.zero_grad(set_to_none=True)
    config = run.config
    run.processes.backward(parts.total(dice=config.dice_weight, heat=config.heat_weight, offset=config.offset_weight))
    nn.utils.clip_grad_norm_(run.network.parameters(), _GRADIENT_NORM)
    run.optimiser.step()
    run.position += run.config.batch_size
    _follow(run)
    values = {f"train_{name}": float(value.detach()) for name, value in parts._asdict().items()}
    values["train_loss"] = float(parts.total().detach())
    if not math.isfinite(values["train_loss"]):
        raise DataError(
            f"the loss is no longer finite after {run.position} samples: lower the learning rate, or look for "
            "damaged images"
        )
    with torch.no_grad():
        right = (output[:, 0] > 0) == (batch.foreground > 0)
        values["train_pixel_accuracy"] = float((right * batch.valid).sum() / batch.valid.sum().clamp(min=1))
    return values


@torch.no_grad()
def _follow(run: Run) -> None:
    """Move the average towards the weights; faster at first, so that it forgets the start."""
    steps = run.position // run.config.batch_size
    keep = min(run.config.average, (1 + steps) / (10 + steps))
    averages = run.average.state_dict()
    for name, value in run.network.state_dict().items():
        if value.is_floating_point():
            averages[name].lerp_(value, 1 - keep)
        else:
            averages[name].copy_(value)


def _save(run: Run, path: Path, digest: str) -> None:
    facts = {"config": _agreed(run), "examples": digest, "position": run.position, "history": run.history}
    save_checkpoint(path, network=run.network, average=run.average, optimiser=run.optimiser, facts=facts)


def _agreed(run: Run) -> dict[str, Any]:
    """Return what a run that goes on must have in common with the one before, and what it may change."""
    return {**plain(run.config), "origin": run.origin}


def fingerprint(examples: Sequence[Example]) -> str:
    """Digest images and nuclei: a run that goes on must not meet others, such as its validation images."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.name, example.kind, example.image.shape, example.image.dtype.str)).encode())
        digest.update(np.ascontiguousarray(example.image).data)
        digest.update(np.ascontiguousarray(example.labels).data)
    return digest.hexdigest()


def _resume(run: Run, path: Path, digest: str) -> None:
    facts = read_facts(path)
    if facts["examples"] != digest:
        raise SettingsError(
            f"{path.parent} holds a run on other training images (or folds): give the same ones to go on with it, "
            "or another folder to start afresh"
        )
    before, now = facts["config"], _agreed(run)
    differing = sorted(name for name in now if name not in _CHANGEABLE and now[name] != before.get(name))
    if differing:
        raise SettingsError(
            f"{path.parent} holds a run with other settings ({', '.join(differing)}): "
            "give the same ones to go on with it, or another folder to start afresh"
        )
    position = int(facts["position"])
    earliest_decay = min(round(int(before["samples"]) * (1 - run.config.decay)), run.config.decay_start)
    if now["samples"] != before["samples"] and position > earliest_decay:
        raise SettingsError(
            f"samples: the run in {path.parent} is at {position} of {before['samples']} and past the start of a "
            f"final decay, so its length can no longer be changed to {now['samples']}"
        )
    restore_checkpoint(path, network=run.network, average=run.average, optimiser=run.optimiser)
    run.position, run.history = position, facts["history"]
    logger.info("going on from sample %d of %d", position, run.config.samples)
