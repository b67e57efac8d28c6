"""``nucleus-unet train``."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nucleus_unet.cli.sets import Data, SetOptions, read_sets, with_set_options
from nucleus_unet.cli.shared import Device, console
from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require

if TYPE_CHECKING:
    from nucleus_unet.model.bundle import Bundle
    from nucleus_unet.training.trainer import TrainConfig


@with_set_options
def train(
    data: Data,
    sets: SetOptions,
    out: Annotated[
        Path, typer.Option(help="Folder for the model bundle. Checkpoints and the report go to OUT/training.")
    ],
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="BUNDLE", help="Fine-tune this model; 'embedded' and 'small' are the package's."
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Number of training samples. Default: 48000; 800 with --from.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Batch size, over all processes. Default: 8.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate. Default: 0.005; 0.0003 with --from.")
    ] = None,
    form: Annotated[
        Literal["lite0", "plain"] | None,
        typer.Option(help="Form of the network: with a pretrained encoder, or a plain U-Net. Default: lite0."),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Number of channels of the first level (plain form). Default: 32.")
    ] = None,
    depth: Annotated[int | None, typer.Option(help="Number of levels (plain form). Default: 3.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout rate at the lowest level. Default: 0.")] = None,
    pretrained: Annotated[
        bool | None,
        typer.Option(
            "--pretrained/--no-pretrained",
            help="Start the encoder from ImageNet weights (lite0). Default: pretrained.",
        ),
    ] = None,
    any_size: Annotated[
        float | None,
        typer.Option(
            help="Share of samples, 0 to 1, that are magnified so that nuclei are 6 to 120 pixels wide. Default: 0."
        ),
    ] = None,
    pasted: Annotated[
        float | None,
        typer.Option(help="Share of samples, 0 to 1, into which more nuclei of the same image are pasted. Default: 0."),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(help="Number of folds; one is held out for validation. Default: 10, or one for each field."),
    ] = None,
    hold_out: Annotated[
        str | None, typer.Option(help="Hold out all images of this category (cluster or set) instead of a fold.")
    ] = None,
    validate_every: Annotated[
        int | None,
        typer.Option(help="Number of samples between validations. Default: 8000; 200 with --from."),
    ] = None,
    checkpoint_every: Annotated[
        int | None,
        typer.Option(help="Number of samples between checkpoints. Default: 1600; 160 with --from."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed of initialisation, samples and folds. Default: 0.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="best.json of a study. Options that are given here override its settings.")
    ] = None,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(help="Number of processes that draw samples.", min=0)] = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write event files for TensorBoard to OUT/training/tensorboard.")
    ] = False,
) -> None:
    """Train a model, or fine-tune one. The same command resumes a run that was stopped.

    The report is OUT/training/report.html.

    On several GPUs: torchrun --nproc-per-node 4 -m nucleus_unet train ... (each batch is divided between them).
    """
    require("torch", "training needs torch", extra="train")
    from nucleus_unet.training.pipeline import REPORT, train_bundle
    from nucleus_unet.training.trainer import check_origin

    bundle = None if origin is None else _load_origin(origin, out)
    config = _configure(
        bundle,
        settings,
        network=_given(form=form, width=width, depth=depth, dropout=dropout),
        augment=_given(any_size=any_size, pasted=pasted),
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
    if bundle is not None:
        check_origin(config, bundle)
    examples = read_sets(data, sets)
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

    if name.resolve() == out.resolve():
        raise SettingsError(f"out: expected another folder than that of the model to fine-tune, got {out}")
    return load_bundle(name)


def _configure(
    origin: Bundle | None,
    settings: Path | None,
    *,
    network: dict[str, Any],
    augment: dict[str, Any],
    pretrained: bool | None,
    **run: Any,
) -> TrainConfig:
    """Return the defaults, with the settings of a study, with the options that were typed."""
    from nucleus_unet.training.fine_tuning import fine_tuning_config
    from nucleus_unet.training.trainer import TrainConfig
    from nucleus_unet.tuning.search_space import configured, read_settings

    base = TrainConfig() if origin is None else fine_tuning_config(origin)
    if settings is not None:
        base = configured(base, read_settings(settings))
    shape = dataclasses.replace(base.network, **network)
    if pretrained is None:
        pretrained = base.pretrained and shape.form == "lite0"
    augmentation = dataclasses.replace(base.augment, **augment)
    return dataclasses.replace(base, network=shape, augment=augmentation, pretrained=pretrained, **run)
