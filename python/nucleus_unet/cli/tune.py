"""``nucleus-unet tune``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.shared import Data, Device, GroupBy, Groups, console, read_sets


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
    workers: Annotated[int, typer.Option(help="Processes that draw samples.", min=0)] = 1,
) -> None:
    """Look for the settings that suit your images, in short trials; the same command goes on where it was stopped."""
    from nucleus_unet.network import NetworkConfig
    from nucleus_unet.training.trainer import TrainConfig
    from nucleus_unet.tuning import read_space
    from nucleus_unet.tuning import tune as run
    from nucleus_unet.tuning.journal import require_optuna

    require_optuna()
    chosen = read_space(space)
    base = TrainConfig(
        network=NetworkConfig(form=form),  # type: ignore[arg-type]
        pretrained=form == "lite0",
        samples=samples,
        validate_every=validate_every,
        batch_size=8,
        seed=seed,
    )
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
        say=console.log,
    )
    typer.echo(json.dumps(best["settings"], indent=2))
    typer.echo(f"best settings: {out / 'best.json'}")
