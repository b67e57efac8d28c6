"""``nucleus-unet export-model``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nucleus_unet.cli.shared import Model


def export_model(
    out: Annotated[Path, typer.Option(help="Path of the file; .onnx, .xml or .zip is added if it is missing.")],
    kind: Annotated[
        Literal["onnx", "openvino", "bioimageio"],
        typer.Option("--format", help="Format of the model; bioimageio is a package for bioimage.io that holds ONNX."),
    ],
    model: Model = None,
    precision: Annotated[
        Literal["auto", "int8", "float32"],
        typer.Option(help="Precision of openvino; auto is the default of the model. The other formats are float32."),
    ] = "auto",
) -> None:
    """Write a model for other programs, with a description of how to prepare images and how to group.

    The ONNX model takes batches of images of any size. Files of an earlier export are replaced.
    """
    from nucleus_unet.exports.model import export_model as export
    from nucleus_unet.model.bundle import load_bundle

    for path in export(load_bundle(model), out, kind, precision=precision):
        typer.echo(path)
