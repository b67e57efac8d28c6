"""``nucleus-unet export-model``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nucleus_unet.cli.shared import Model, bundle_path


def export_model(
    out: Annotated[Path, typer.Option(help="The model's file; .onnx, .xml or .zip is added if missing.")],
    kind: Annotated[
        Literal["onnx", "openvino", "bioimageio"],
        typer.Option("--format", help="bioimageio is a package for bioimage.io, with ONNX inside."),
    ],
    model: Model = None,
    precision: Annotated[
        Literal["auto", "int8", "float32"],
        typer.Option(help="Of openvino; auto is int8 if the model says so. The others are in float32."),
    ] = "auto",
) -> None:
    """Write a model for programs that do not know this package, and beside it how to prepare images and group.

    ONNX takes images of any size, any number of them at once. Files of an earlier export are replaced.
    """
    from nucleus_unet.exports.model import export_model as export
    from nucleus_unet.model.bundle import load_bundle

    for path in export(load_bundle(bundle_path(model)), out, kind, precision=precision):
        typer.echo(path)
