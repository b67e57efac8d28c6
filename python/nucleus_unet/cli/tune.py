"""``nucleus-unet tune``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from nucleus_unet.cli.sets import Data, SetOptions, read_sets, with_set_options
from nucleus_unet.cli.shared import Device, console
from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require


@with_set_options
def tune(
    data: Data,
    sets: SetOptions,
    out: Annotated[Path, typer.Option(help="Folder of the study. The same command resumes it.")],
    space: Annotated[Path | None, typer.Option(help="Search space, as TOML; by default that of the package.")] = None,
    trials: Annotated[int, typer.Option(help="Number of finished trials at which the study ends.")] = 20,
    hours: Annotated[float | None, typer.Option(help="Number of hours after which no trial is started.")] = None,
    samples: Annotated[int, typer.Option(help="Number of training samples of a trial.")] = 4_800,
    form: Annotated[
        Literal["lite0", "plain"],
        typer.Option(help="Form of the network: with a pretrained encoder, or a plain U-Net."),
    ] = "lite0",
    folds: Annotated[int, typer.Option(help="Number of folds; one is held out for validation.")] = 10,
    validate_every: Annotated[
        int, typer.Option(help="Number of samples between validations, at which poor trials are stopped.")
    ] = 1_600,
    seed: Annotated[int, typer.Option(help="Random seed of proposals, initialisation, samples and folds.")] = 0,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(help="Number of processes that draw the samples of a trial.", min=0)] = 1,
    processes: Annotated[
        int, typer.Option(help="Number of trials that run at the same time on this machine.", min=1)
    ] = 1,
    storage: Annotated[
        str | None,
        typer.Option(
            help="postgresql://user@host/database: share the study with other machines, each with an OUT of its own; "
            "the password is taken from ~/.pgpass or PGPASSWORD."
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Name of the study in the database; by default the name of OUT.")
    ] = None,
) -> None:
    """Search the training settings that suit your images, in short trials. The same command resumes.

    The report is OUT/report.html.
    """
    require("torch", "training needs torch", extra="train")
    from nucleus_unet.model.config import NetworkConfig
    from nucleus_unet.training.trainer import TrainConfig
    from nucleus_unet.tuning import read_space
    from nucleus_unet.tuning import tune as run
    from nucleus_unet.tuning.database import Database
    from nucleus_unet.tuning.trials import require_optuna

    require_optuna()
    if study is not None and storage is None:
        raise SettingsError("study: only a database has studies by name, give --storage too")
    database = None if storage is None else Database(storage, study)
    base = TrainConfig(
        network=NetworkConfig(form=form),
        pretrained=form == "lite0",
        samples=samples,
        validate_every=validate_every,
        batch_size=8,
        seed=seed,
    )
    chosen = read_space(space, form=form)
    examples = read_sets(data, sets)
    best = run(
        examples,
        out,
        space=chosen,
        base=base,
        trials=trials,
        hours=hours,
        folds=folds,
        device=device,
        workers=workers,
        processes=processes,
        database=database,
        say=console.log,
    )
    typer.echo(json.dumps(best["settings"], indent=2))
    typer.echo(f"best settings: {out / 'best.json'}, all trials: {out / 'report.html'}")
