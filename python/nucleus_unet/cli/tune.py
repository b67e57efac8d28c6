"""``nucleus-unet tune``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.shared import Data, Device, GroupBy, Groups, console, read_sets
from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require


def tune(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the study; the same command goes on with it.")],
    groups: Groups = None,
    group_by: GroupBy = None,
    space: Annotated[Path | None, typer.Option(help="What is tried, as TOML; by default the package's own.")] = None,
    trials: Annotated[int, typer.Option(help="How many trials are finished in all.")] = 20,
    hours: Annotated[float | None, typer.Option(help="No trial is begun after so many hours.")] = None,
    samples: Annotated[int, typer.Option(help="How many samples a trial trains on.")] = 4_800,
    form: Annotated[str, typer.Option(help="lite0 (pretrained encoder) or plain.")] = "lite0",
    folds: Annotated[int, typer.Option(help="One of so many folds is held out for validation.")] = 10,
    validate_every: Annotated[int, typer.Option(help="In samples; poor trials are stopped then.")] = 1_600,
    seed: Annotated[int, typer.Option(help="Of proposals, initialisation, samples and folds.")] = 0,
    device: Device = "auto",
    workers: Annotated[int, typer.Option(help="Processes that draw a trial's samples.", min=0)] = 1,
    processes: Annotated[int, typer.Option(help="How many trials run at once, on this machine.", min=1)] = 1,
    storage: Annotated[
        str | None,
        typer.Option(
            help="postgresql://user@host/database: share the study with other machines, each with an OUT of its own; "
            "the password is taken from ~/.pgpass or PGPASSWORD."
        ),
    ] = None,
    study: Annotated[str | None, typer.Option(help="Name of the study in the database; by default OUT's.")] = None,
) -> None:
    """Look for the settings that suit your images, in short trials; the same command goes on where it was stopped.

    OUT/report.html shows what was found.
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
        network=NetworkConfig(form=form),  # type: ignore[arg-type]
        pretrained=form == "lite0",
        samples=samples,
        validate_every=validate_every,
        batch_size=8,
        seed=seed,
    )
    chosen = read_space(space, form=form)
    examples = read_sets(data, groups, group_by)
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
