"""``predict`` and ``slide`` of images with several scenes, times, planes and channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from helpers.commands import run
from helpers.images import draw_discs
from helpers.stacks import SHAPE, draw_stack, write_hyperstack, write_plate
from nucleus_unet import Segmenter

STACK = draw_stack(times=3)


def test_a_time_series_becomes_a_stack_and_a_table_and_the_same_command_does_no_more(tmp_path: Path) -> None:
    path = write_hyperstack(tmp_path / "cells.tif", STACK, "ImageJ")
    command = ("predict", path, "--out", tmp_path / "out", "--time", "all", "--z", "max")
    command = (*command, "--channel", "0", "--channel", "1", "--combine", "max")
    result = run(*command)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "out" / "cells"
    assert tifffile.imread(folder / "labels.ome.tif").shape == (3, *SHAPE)
    assert sorted(set(pd.read_csv(folder / "nuclei.csv")["frame"])) == [0, 1, 2]
    written = (folder / "run.json").stat().st_mtime_ns
    assert run(*command).stdout == result.stdout
    assert (folder / "run.json").stat().st_mtime_ns == written


def test_one_plane_is_written_as_one_image_is(tmp_path: Path) -> None:
    path = write_hyperstack(tmp_path / "cells.tif", STACK, "ImageJ")
    options = ("--time", "1", "--z", "focus", "--channel", "1", "--format", "csv")
    result = run("predict", path, "--out", tmp_path / "out", *options)
    assert result.returncode == 0, result.stderr
    results = {each.name for each in (tmp_path / "out").iterdir()} - {"summary.csv", "nucleus-unet-run"}
    assert results == {"cells.csv"}


def test_what_is_left_to_be_chosen_is_said_with_the_option_to_type(tmp_path: Path) -> None:
    path = write_hyperstack(tmp_path / "cells.tif", STACK, "ImageJ")
    result = run("predict", path, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "--time 0:2, --time all" in " ".join(result.stderr.split())


def test_a_plate_is_one_command(tmp_path: Path) -> None:
    discs = draw_discs(SHAPE, [(20, 20, 7)])
    plate = write_plate(tmp_path / "plate.zarr", {"B/03": [discs, discs], "C/11": [discs]})
    result = run("predict", plate, "--out", tmp_path / "out", "--scene", "all", "--format", "tif,csv,parquet")
    assert result.returncode == 0, result.stderr
    assert "3 nuclei in 1 image," in result.stdout
    names = {each.relative_to(tmp_path / "out").as_posix() for each in (tmp_path / "out").rglob("*.*")}
    assert {"plate/B/03/0.ome.tif", "plate/C/11/0.ome.tif", "plate/plate.png", "plate/nuclei.parquet"} <= names


def test_a_slide_takes_one_plane_of_several_channels(tmp_path: Path) -> None:
    path = write_hyperstack(tmp_path / "cells.tif", STACK, "ImageJ")
    options = ("--time", "2", "--z", "max", "--channel", "0", "--channel", "1")
    result = run("slide", path, "--out", tmp_path / "out", *options)
    assert result.returncode == 0, result.stderr
    expected = Segmenter.from_pretrained().predict(STACK[2].astype(np.uint16).sum(axis=1).max(axis=0))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "labels.tif"), expected.labels)
    several = run("slide", path, "--out", tmp_path / "more", "--time", "all", "--z", "max", "--channel", "0")
    assert several.returncode == 2
    assert "expected one scene, one time" in several.stderr
