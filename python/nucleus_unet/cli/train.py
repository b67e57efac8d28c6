"""``nucleus-unet train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.shared import Data, Device, GroupBy, Groups, console, read_sets


def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the model bundle; the run's own files go to OUT/training.")],
    groups: Groups = None,
    group_by: GroupBy = None,
    samples: Annotated[int, typer.Option(help="How many samples to train on.")] = 48_000,
    batch_size: Annotated[int, typer.Option(help="Samples a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="Plateau of the learning rate.")] = 5e-3,
    form: Annotated[str, typer.Option(help="lite0 (pretrained encoder) or plain.")] = "lite0",
    width: Annotated[int, typer.Option(help="First level's channels, of the plain form.")] = 32,
    depth: Annotated[int, typer.Option(help="Levels, of the plain form.")] = 3,
    dropout: Annotated[float, typer.Option(help="Dropout at the bottom of the U.")] = 0.0,
    pretrained: Annotated[bool, typer.Option(help="Start from ImageNet weights (lite0).")] = True,
    folds: Annotated[int, typer.Option(help="One of so many folds is held out for validation.")] = 10,
    hold_out: Annotated[
        str | None, typer.Option(help="Hold out all images of this kind (cluster or set) instead of a fold.")
    ] = None,
    validate_every: Annotated[int, typer.Option(help="In samples.")] = 8_000,
    checkpoint_every: Annotated[int, typer.Option(help="In samples.")] = 1_600,
    seed: Annotated[int, typer.Option(help="Of initialisation, samples and folds.")] = 0,
    settings: Annotated[
        Path | None, typer.Option(help="best.json of a study: its settings stand in for those given here.")
    ] = None,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(help="Processes that draw samples.", min=0)] = 1,
) -> None:
    """Train a model; the same command goes on with a run that was stopped.

    On several GPUs: torchrun --nproc-per-node 4 -m nucleus_unet train ... (a batch is shared between them).
    """
    from nucleus_unet.network import NetworkConfig
    from nucleus_unet.training.pipeline import train_bundle
    from nucleus_unet.training.trainer import TrainConfig
    from nucleus_unet.tuning.space import configured, read_settings

    config = TrainConfig(
        network=NetworkConfig(form=form, width=width, depth=depth, dropout=dropout),  # type: ignore[arg-type]
        pretrained=pretrained and form == "lite0",
        samples=samples,
        batch_size=batch_size,
        learning_rate=learning_rate,
        validate_every=validate_every,
        checkpoint_every=checkpoint_every,
        seed=seed,
    )
    if settings is not None:
        config = configured(config, read_settings(settings))
    examples = read_sets(data, groups, group_by)
    scores = train_bundle(
        config, examples, out, folds=folds, hold_out=hold_out, device=device, workers=workers, say=console.log
    )
    if scores:
        typer.echo(json.dumps(scores, indent=2))
        typer.echo(f"model bundle: {out}")
