"""``nucleus-unet train``."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nucleus_unet.cli.shared import Data, Device, GroupBy, Groups, bundle_path, console, read_sets
from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require

if TYPE_CHECKING:
    from nucleus_unet.model.bundle import Bundle
    from nucleus_unet.training.trainer import TrainConfig


def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the model bundle; the run's own files go to OUT/training.")],
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="BUNDLE", help="Fine-tune this model on your images; 'embedded' is the package's own."
        ),
    ] = None,
    groups: Groups = None,
    group_by: GroupBy = None,
    samples: Annotated[
        int | None, typer.Option(help="How many samples to train on.", show_default="48000; 800 with --from")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples a step.", show_default="8")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Plateau of the learning rate.", show_default="0.005; 0.0003 with --from")
    ] = None,
    form: Annotated[str | None, typer.Option(help="lite0 (pretrained encoder) or plain.", show_default="lite0")] = None,
    width: Annotated[
        int | None, typer.Option(help="First level's channels, of the plain form.", show_default="32")
    ] = None,
    depth: Annotated[int | None, typer.Option(help="IntensityRange, of the plain form.", show_default="3")] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout at the bottom of the U.", show_default="0")] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option(
            "--pretrained/--no-pretrained", help="Start from ImageNet weights (lite0).", show_default="pretrained"
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="One of so many folds is held out for validation.", show_default="10, or one a field"),
    ] = None,
    hold_out: Annotated[
        str | None, typer.Option(help="Hold out all images of this kind (cluster or set) instead of a fold.")
    ] = None,
    validate_every: Annotated[
        int | None, typer.Option(help="In samples.", show_default="8000; 200 with --from")
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(help="In samples.", show_default="1600; 160 with --from")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of initialisation, samples and folds.", show_default="0")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="best.json of a study: its settings stand in for those given here.")
    ] = None,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(help="Processes that draw samples.", min=0)] = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write curves for TensorBoard too, to OUT/training/tensorboard.")
    ] = False,
) -> None:
    """Train a model, or fine-tune one; the same command goes on with a run that was stopped.

    At the end OUT/training/report.html tells what came of it.

    On several GPUs: torchrun --nproc-per-node 4 -m nucleus_unet train ... (a batch is shared between them).
    """
    require("torch", "training needs torch", extra="train")
    from nucleus_unet.training.pipeline import REPORT, train_bundle
    from nucleus_unet.training.trainer import check_origin
    from nucleus_unet.tuning.search_space import configured, read_settings

    bundle = None if origin is None else _load_origin(origin, out)
    config = _configure(
        bundle,
        network=_given(form=form, width=width, depth=depth, dropout=dropout),
        pretrained=pretrained,
        **_given(
            samples=samples,
            batch_size=batch_size,
            learning_rate=learning_rate,
            validate_every=validate_every,
            checkpoint_every=checkpoint_every,
            seed=seed,
        ),
    )
    if settings is not None:
        config = configured(config, read_settings(settings))
    if bundle is not None:
        check_origin(config, bundle)
    examples = read_sets(data, groups, group_by)
    scores = train_bundle(
        config,
        examples,
        out,
        origin=bundle,
        folds=folds,
        hold_out=hold_out,
        device=device,
        workers=workers,
        tensorboard=tensorboard,
        command=shlex.join(["nucleus-unet", *sys.argv[1:]]),
        log=console.log,
    )
    if scores:
        typer.echo(json.dumps(scores, indent=2))
        typer.echo(f"model bundle: {out}")
        typer.echo(f"report: {out / 'training' / REPORT}")


def _given(**options: Any) -> dict[str, Any]:
    """Keep the options that were typed."""
    return {name: value for name, value in options.items() if value is not None}


def _load_origin(name: Path, out: Path) -> Bundle:
    from nucleus_unet.model.bundle import load_bundle

    path = bundle_path(name)
    if path is not None and path.resolve() == out.resolve():
        raise SettingsError(f"out: expected another folder than that of the model to fine-tune, got {out}")
    return load_bundle(path)


def _configure(origin: Bundle | None, *, network: dict[str, Any], pretrained: bool | None, **run: Any) -> TrainConfig:
    from nucleus_unet.training.fine_tuning import fine_tuning_config
    from nucleus_unet.training.trainer import TrainConfig

    base = TrainConfig() if origin is None else fine_tuning_config(origin)
    shape = dataclasses.replace(base.network, **network)
    if pretrained is None:
        pretrained = base.pretrained and shape.form == "lite0"
    return dataclasses.replace(base, network=shape, pretrained=pretrained, **run)
