"""What of labelled sets counts, and which plane is labelled, is said on the command line."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers.annotations import box, collection, feature, write_set
from nucleus_unet.cli import app
from nucleus_unet.cli.sets import SetOptions, read_reported_sets
from typer.testing import CliRunner


@pytest.mark.parametrize("command", ["train", "tune", "evaluate", "compare", "calibrate", "explore"])
def test_every_command_that_reads_labelled_sets_takes_the_classes(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert "--ignore-class" in shown
    assert "--region-class" in shown


def test_classes_replace_the_defaults(tmp_path: Path) -> None:
    objects = [
        feature(box(0, 0, 20, 20), of_class="Unsure"),
        feature(box(0, 0, 50, 20), "annotation", "Done"),
        feature(box(30, 4, 36, 9), of_class="Ignore"),
    ]
    folder = write_set(tmp_path / "set", a__geojson=collection(*objects))
    _, report = read_reported_sets([folder], SetOptions(ignore_class=["Unsure"], region_class=["Done"]))
    # Half of the image is a region, of which two fifths are ignored. The class Ignore is one as any other.
    assert (report.partly_annotated, report.nuclei) == ({"a": 0.3}, 1)


def test_a_page_of_the_set_names_images_that_are_annotated_in_part(tmp_path: Path) -> None:
    objects = [feature(box(0, 0, 20, 20), "annotation", "Ignore*"), feature(box(30, 4, 36, 9))]
    folder = write_set(tmp_path / "set", a__geojson=collection(*objects))
    result = CliRunner().invoke(app, ["explore", str(folder), "--out", str(tmp_path / "set.html")])
    assert result.exit_code == 0, result.output
    assert "partly annotated images" in (tmp_path / "set.html").read_text(encoding="utf-8")


def test_the_labelled_channel_is_chosen(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", a__geojson=collection(feature(box(30, 4, 36, 9))))
    pixels = imagecodecs.imread(folder / "a.png")
    (folder / "a.png").unlink()
    grey = pixels if pixels.ndim == 2 else pixels[..., 0]
    tifffile.imwrite(folder / "a.tif", np.stack([grey, grey]), imagej=True, metadata={"axes": "CYX"})
    refused = CliRunner().invoke(app, ["explore", str(folder), "--out", str(tmp_path / "set.html")])
    assert "--channel" in str(refused.exception)
    chosen = CliRunner().invoke(app, ["explore", str(folder), "--channel", "1", "--out", str(tmp_path / "set.html")])
    assert chosen.exit_code == 0, chosen.output
    assert "1 image, 1 nucleus" in chosen.output
