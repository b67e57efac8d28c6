"""Train the network with Muon and AdamW, a moving average of the weights, and schedules in units of samples.

A run has a folder. It can be killed at any time. The same call then resumes it from its last checkpoint, and the final
weights are those of an uninterrupted run (on the CPU, bit for bit).
"""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
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
from nucleus_unet.training.checkpoint import plain, read_run_state, restore_checkpoint, save_checkpoint
from nucleus_unet.training.distributed import ProcessGroup, join_process_group
from nucleus_unet.training.losses import Batch, losses
from nucleus_unet.training.optimiser import make_optimiser
from nucleus_unet.training.sample_stream import SampleStream, load_batches
from nucleus_unet.training.totals import Totals
from nucleus_unet.training.validation_loss import DICE_WEIGHT, HEAT_WEIGHT, OFFSET_WEIGHT
from nucleus_unet.wording import counted

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
# Seconds. The loader processes of a killed run hold its lock until they exit, within 5 seconds.
_LOCK_TIMEOUT = 10.0
_GRADIENT_NORM = 5.0
# Settings that may change when a run is resumed. They do not affect the weights up to the checkpoint.
_CHANGEABLE = ("samples", "checkpoint_every", "validate_every")


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of a training run.

    Attributes
    ----------
    network, augment
        Configuration of the network and of the augmentation.
    pretrained
        Initialise the encoder with ImageNet weights.
    samples
        Total number of training samples. A run can be extended by a larger number until its final decay starts.
    batch_size
        Batch size, over all processes.
    learning_rate
        Peak learning rate. That of a pretrained encoder is half of it.
    weight_decay
        Weight decay of convolution weights. Other parameters have none.
    dice_weight, heat_weight, offset_weight
        Loss weights. The weight of the foreground's cross-entropy is 1.
    warmup
        Number of samples of the linear warm-up of the learning rate.
    decay
        Share of the samples, at the end of the run, over which the learning rate decays to 0 as 1 - sqrt (Hägele et al.
        2024). During this final phase, the augmentation is that of `AugmentConfig.final_phase`.
    average
        Decay per step of the exponential moving average of the weights. The average is the result of the run.
    seed
        Seed of initialisation, samples and dropout, 0 to 2**32 - 1.
    precision
        Precision of the computation. ``"auto"`` is bfloat16 if the hardware supports it.
    checkpoint_every, validate_every
        Number of samples between checkpoints, and between validations.
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
            if not 0 < getattr(self, name) < math.inf:
                raise SettingsError(f"{name}: expected a finite number of more than 0, got {getattr(self, name)}")
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
        """Number of the sample at which the final decay of the learning rate starts."""
        return round(self.samples * (1 - self.decay))

    def learning_rate_at(self, position: int) -> float:
        """Return the learning rate of the step that starts at sample ``position``."""
        rate = self.learning_rate * min(1.0, (position + self.batch_size) / max(self.warmup, 1))
        if position > self.decay_start:
            rate *= 1 - math.sqrt((position - self.decay_start) / (self.samples - self.decay_start))
        return rate


def check_origin(config: TrainConfig, origin: Bundle) -> None:
    """Check that a run with this configuration can start from the weights of a model.

    Raises
    ------
    SettingsError
        The configuration has a network of another architecture, or requests ImageNet weights.
    """
    if config.pretrained:
        raise SettingsError(f"pretrained: expected False, as the weights are those of the model {origin.config.name!r}")
    requested, present = config.network.to_json(), origin.config.network.to_json()
    differing = [name for name in requested if name != "dropout" and requested[name] != present[name]]
    if differing:
        settings = ", ".join(f"{name} {present[name]} (requested: {requested[name]})" for name in differing)
        raise SettingsError(
            f"the model {origin.config.name!r} to fine-tune has {settings}: do not set the network's architecture"
        )


@dataclass
class Run:
    """State of a training run.

    ``wrapped`` is ``network``, wrapped for training in several processes. ``origin`` is the SHA-256 of the fine-tuned
    model. ``position`` is the number of samples so far.
    """

    config: TrainConfig
    network: Network
    average: Network
    optimiser: torch.optim.Optimizer
    processes: ProcessGroup
    precision: Precision
    wrapped: nn.Module
    origin: str | None = None
    position: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)


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
    report: Callable[[Run], object] = lambda _run: None,
    on_step: Callable[[int], object] = lambda _samples: None,
) -> Network:
    """Start a training run in ``folder``, or resume it.

    Several processes that ``torchrun`` started train together. Each computes its slice of every batch. The main process
    validates and writes the files. Batch normalisation uses the slice of each process, and the history has the losses
    of the main process.

    Parameters
    ----------
    config
        Configuration of the run. A resumed run needs the same configuration, except for ``samples`` (see there),
        ``checkpoint_every`` and ``validate_every``.
    examples
        Training images. A resumed run needs the same images.
    folder
        Folder of the checkpoint.
    origin
        The model to fine-tune, which provides the initial weights. A resumed run needs the same model.
    validate
        Called with the averaged network every ``config.validate_every`` samples, and at the beginning with the network
        of ``origin``. The returned metrics are added to the history.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    workers
        Number of processes that draw samples. With 0, the training process draws them.
    report, on_step
        Called after every entry of the history, for curves; after every step with the number of samples, for progress.

    Returns
    -------
    Network
        The averaged network, in evaluation mode, on the CPU.

    Raises
    ------
    SettingsError
        The folder contains a run with another configuration, origin or images, another process is training in it, or
        the configuration does not fit the origin.
    DataError
        The checkpoint is damaged, there are no nuclei to train on, or the loss is no longer finite.
    """
    if not any(example.labels.any() for example in examples):
        raise DataError(f"expected labelled nuclei to train on, found none in {counted(len(examples), 'image')}")
    processes = join_process_group(device)
    share = processes.batch_slice(config.batch_size)
    run = _start(config, processes, origin)
    folder.mkdir(parents=True, exist_ok=True)
    busy = f"another process is training in {folder}: wait for it, or choose another folder"
    with locked(folder, patience=_LOCK_TIMEOUT, busy=busy) if processes.is_main else nullcontext():
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
        if origin is not None and validate is not None and run.position == 0 and processes.is_main:
            run.history.append({"samples": 0.0, **validate(run.average)})
            report(run)
        measured_from, started = run.position, time.monotonic()
        for batch in batches:
            run.totals.add(_step(run, batch.to(processes.device)))
            if not processes.is_main:
                continue
            on_step(run.position)
            done = run.position == config.samples
            if done or run.position % config.validate_every < config.batch_size:
                entry = {"samples": float(run.position), **run.totals.means()}
                entry["learning_rate"] = config.learning_rate_at(run.position)
                entry["samples_per_second"] = (run.position - measured_from) / (time.monotonic() - started)
                if validate is not None:
                    entry |= validate(run.average)
                run.history.append(entry)
                run.totals, measured_from, started = Totals(), run.position, time.monotonic()
                report(run)
            if done or run.position % config.checkpoint_every < config.batch_size:
                _save(run, checkpoint, digest)
    return run.average.eval().cpu()


def _start(config: TrainConfig, processes: ProcessGroup, origin: Bundle | None) -> Run:
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
    return Run(config, network, average, optimiser, processes, precision, processes.wrap(network), origin_digest)


def _step(run: Run, batch: Batch) -> dict[str, float]:
    # The generator of dropout is seeded at every step, so that a resumed run draws the same numbers.
    torch.manual_seed(run.config.seed * 1_000_003 + run.position + run.processes.rank)
    rate = run.config.learning_rate_at(run.position)
    for group in run.optimiser.param_groups:
        group["lr"] = rate * group["share"]
    run.network.train()
    with autocast(run.processes.device, run.precision):
        output = run.wrapped(batch.image)
    parts = losses(output, batch)
    run.optimiser.zero_grad(set_to_none=True)
    config = run.config
    run.processes.backward(parts.total(dice=config.dice_weight, heat=config.heat_weight, offset=config.offset_weight))
    nn.utils.clip_grad_norm_(run.network.parameters(), _GRADIENT_NORM)
    run.optimiser.step()
    run.position += run.config.batch_size
    _update_average(run)
    values = {f"train_{name}": float(value.detach()) for name, value in parts._asdict().items()}
    values["train_loss"] = float(parts.total().detach())
    if not math.isfinite(values["train_loss"]):
        raise DataError(
            f"the loss is no longer finite after {run.position} samples: lower the learning rate, or check the images "
            "for damage"
        )
    with torch.no_grad():
        correct = (output[:, 0] > 0) == (batch.foreground > 0)
        values["train_pixel_accuracy"] = float((correct * batch.valid).sum() / batch.valid.sum().clamp(min=1))
    return values


@torch.no_grad()
def _update_average(run: Run) -> None:
    """Update the moving average of the weights. The decay is smaller at first, so that the initial weights fade."""
    steps = run.position // run.config.batch_size
    decay = min(run.config.average, (1 + steps) / (10 + steps))
    averages = run.average.state_dict()
    for name, value in run.network.state_dict().items():
        if value.is_floating_point():
            averages[name].lerp_(value, 1 - decay)
        else:
            averages[name].copy_(value)


def _save(run: Run, path: Path, digest: str) -> None:
    run_state = {
        "config": _resumable_config(run),
        "examples": digest,
        "position": run.position,
        "history": run.history,
        "totals": asdict(run.totals),
    }
    save_checkpoint(path, network=run.network, average=run.average, optimiser=run.optimiser, run_state=run_state)


def _resumable_config(run: Run) -> dict[str, Any]:
    """Return the configuration and the origin of a run, to be compared when it is resumed."""
    return {**plain(run.config), "origin": run.origin}


def fingerprint(examples: Sequence[Example]) -> str:
    """Return the SHA-256 of images and label images. A resumed run must have the same training images."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(repr((example.name, example.category, example.image.shape, example.image.dtype.str)).encode())
        digest.update(np.ascontiguousarray(example.image).data)
        digest.update(np.ascontiguousarray(example.labels).data)
        if example.valid is not None:
            digest.update(np.packbits(example.valid).data)
    return digest.hexdigest()


def _resume(run: Run, path: Path, digest: str) -> None:
    run_state = read_run_state(path)
    if run_state["examples"] != digest:
        raise SettingsError(
            f"{path.parent} contains a run with other training images or folds: use the same ones to resume it, or "
            "another folder for a new run"
        )
    before, now = run_state["config"], _resumable_config(run)
    differing = sorted(name for name in now if name not in _CHANGEABLE and now[name] != before.get(name))
    if differing:
        raise SettingsError(
            f"{path.parent} contains a run with other settings ({', '.join(differing)}): use the same ones to resume "
            "it, or another folder for a new run"
        )
    position = int(run_state["position"])
    earliest_decay = min(round(int(before["samples"]) * (1 - run.config.decay)), run.config.decay_start)
    if now["samples"] != before["samples"] and position > earliest_decay:
        raise SettingsError(
            f"samples: the run in {path.parent} is at {position} of {before['samples']} and its final decay has "
            f"started, so its length can no longer be changed to {now['samples']}"
        )
    restore_checkpoint(path, network=run.network, average=run.average, optimiser=run.optimiser)
    run.position, run.history, run.totals = position, run_state["history"], Totals(**run_state["totals"])
    logger.info("resuming at sample %d of %d", position, run.config.samples)
