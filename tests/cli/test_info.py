"""``nucleus-unet info``: what a file contains, and what is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile
from helpers.commands import run
from helpers.images import GREY, RGB


def test_axes_channels_and_pixel_size_are_shown(tmp_path: Path) -> None:
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}, "PhysicalSizeX": 0.32}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.stack([GREY, GREY]), metadata=metadata)
    result = run("info", tmp_path / "a.ome.tif")
    assert result.returncode == 0, result.stderr
    for line in (
        "  format      OME-TIFF",
        "  axes        C 2, Y 30, X 40",
        "  dtype       uint16",
        "  channels    0 DAPI, 1 GFP",
        "  pixel size  0.32 micrometres",
        "  predict     asks: channel: expected one of the 2 channels 'DAPI', 'GFP', got none",
    ):
        assert line in result.stdout


def test_every_scene_is_described_and_the_choice_named(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(GREY, metadata={"axes": "YX", "Name": "first"})
        file.write(RGB[:20], photometric="rgb", metadata={"axes": "YXS", "Name": "second"})
    said = json.loads(run("info", "--json", tmp_path / "a.ome.tif").stdout)
    assert said["scenes"] == ["first", "second"]
    assert [image["axes"] for image in said["images"]] == [{"Y": 30, "X": 40}, {"Y": 20, "X": 40, "S": 3}]
    assert said["images"][1]["predict"] == "takes the colours of 20 x 40 pixels"
    assert "choose one with --scene" in said["predict"]


def test_what_could_not_be_read_is_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, description="<OME><Image", metadata=None)
    assert "  not read    its OME-XML is malformed" in run("info", tmp_path / "a.tif").stdout


def test_a_file_that_is_no_image_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("text")
    np.save(tmp_path / "b.npy", GREY)
    result = run("info", tmp_path / "a.tif", tmp_path / "b.npy", tmp_path / "none.tif")
    assert result.returncode == 1
    assert "takes the grey values of 30 x 40 pixels" in result.stdout
    assert "a.tif: cannot be read as an image" in result.stderr
    assert "none.tif" in result.stderr
