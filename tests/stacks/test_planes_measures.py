"""Measures and classes of several planes: those of predicting each plane alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.classifiers import threshold_classifier
from helpers.segmentations import blobs, made
from helpers.stacks import draw_stack, write_hyperstack
from nucleus_unet import Segmenter
from nucleus_unet.errors import SettingsError
from nucleus_unet.exports.stack_table import common_columns, open_stack_table
from nucleus_unet.stacks import store

STACK = draw_stack(times=3)
OPTIONS: dict[str, Any] = {"measure": "intensity,shape,neighbours", "expand": "1.5 um"}
CLASSIFIER = threshold_classifier("nucleus_GFP_mean", 15.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_hyperstack(tmp_path / "cells.tif", STACK, "OME")


def expected(segmenter: Segmenter, file: Path, chosen: list[dict[str, Any]], **options: Any) -> pd.DataFrame:
    tables = [pd.DataFrame(segmenter.predict(file, **each, **options).table) for each in chosen]
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize(
    ("several", "single"),
    [
        ({"time": "all", "z": "max"}, [{"time": time, "z": "max"} for time in range(3)]),
        ({"time": 1, "z": "all"}, [{"time": 1, "z": plane} for plane in range(3)]),
        ({"time": "0:2", "z": "0:2"}, [{"time": time, "z": plane} for time in range(2) for plane in range(2)]),
    ],
)
@pytest.mark.parametrize("channel", ["DAPI", ["DAPI", "GFP"]])
def test_the_table_of_a_stack_has_the_measures_of_each_plane_alone(
    segmenter: Segmenter,
    file: Path,
    tmp_path: Path,
    several: dict[str, Any],
    single: list[dict[str, Any]],
    channel: Any,
) -> None:
    wanted = expected(segmenter, file, single, channel=channel, **OPTIONS)
    formats = ["csv", "parquet"]
    segmenter.predict(file, out=tmp_path / "out", formats=formats, channel=channel, **several, **OPTIONS)
    for found in (pd.read_csv(tmp_path / "out" / "nuclei.csv"), pd.read_parquet(tmp_path / "out" / "nuclei.parquet")):
        own = found.drop(columns=["scene", "frame", "plane", "geometry"], errors="ignore")
        pd.testing.assert_frame_equal(own, wanted, check_dtype=False, check_exact=True)
        assert {"nucleus_DAPI_mean", "ring_GFP_median", "cell_area_um2", "neighbour_count"} <= set(own)


def test_an_iterator_gives_measures_and_cells(segmenter: Segmenter, file: Path) -> None:
    for time, found in enumerate(segmenter.predict(file, time="all", z="max", channel=0, **OPTIONS)):
        alone = segmenter.predict(file, time=time, z="max", channel=0, **OPTIONS)
        np.testing.assert_array_equal(found.cells, alone.cells)
        for name, values in alone.table.items():
            np.testing.assert_array_equal(found.table[name], values)


def test_each_plane_gets_its_classes(segmenter: Segmenter, file: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"channel": 0, "classifier": CLASSIFIER}
    wanted = expected(segmenter, file, [{"time": time, "z": "max"} for time in range(3)], **options)
    segmenter.predict(file, out=tmp_path / "out", formats=["csv", "parquet"], time="all", z="max", **options)
    for found in (pd.read_csv(tmp_path / "out" / "nuclei.csv"), pd.read_parquet(tmp_path / "out" / "nuclei.parquet")):
        assert found["class"].tolist() == wanted["class"].tolist()
        assert found["class_probability_dim"].tolist() == wanted["class_probability_dim"].tolist()


def test_a_plane_is_measured_again_if_a_channel_changed_that_is_not_segmented(
    segmenter: Segmenter, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    options: dict[str, Any] = {"time": "all", "z": "max", "channel": 0, "formats": ["csv"], **OPTIONS}
    with monkeypatch.context() as patched:
        patched.setattr("nucleus_unet.stacks.run.write_results", fail)
        with pytest.raises(OSError, match="full"):
            segmenter.predict(file, out=tmp_path / "out", **options)
    changed = STACK.copy()
    changed[:, :, 1] += 20
    assert write_hyperstack(tmp_path / "cells.tif", changed, "OME") == file
    segmenter.predict(file, out=tmp_path / "out", **options)
    again = expected(segmenter, file, [{"time": time, "z": "max"} for time in range(3)], channel=0, **OPTIONS)
    found = pd.read_csv(tmp_path / "out" / "nuclei.csv")
    assert found["nucleus_GFP_mean"].tolist() == again["nucleus_GFP_mean"].tolist()


def test_finished_planes_are_taken_from_the_killed_run(
    segmenter: Segmenter, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"time": "all", "z": "max", "channel": 0, "formats": ["csv"], **OPTIONS}
    saved: list[Any] = []
    original = store.PlaneStore.save

    def save(self: Any, place: Any, key: str, found: Any) -> Any:
        if len(saved) == 2:
            raise OSError("killed")
        saved.append(place)
        return original(self, place, key, found)

    with monkeypatch.context() as patched:
        patched.setattr(store.PlaneStore, "save", save)
        with pytest.raises(OSError, match="killed"):
            segmenter.predict(file, out=tmp_path / "out", **options)
    steps: list[Any] = []
    original_find = store.PlaneStore.find
    monkeypatch.setattr(store.PlaneStore, "find", lambda self, *a: steps.append(original_find(self, *a)) or steps[-1])
    segmenter.predict(file, out=tmp_path / "out", **options)
    assert len([step for step in steps if step is not None]) == 2
    wanted = expected(segmenter, file, [{"time": time, "z": "max"} for time in range(3)], channel=0, **OPTIONS)
    assert pd.read_csv(tmp_path / "out" / "nuclei.csv")["ring_GFP_mean"].tolist() == wanted["ring_GFP_mean"].tolist()


def test_another_measure_is_another_run(segmenter: Segmenter, file: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"time": "all", "z": "max", "channel": 0, "formats": ["csv"]}
    segmenter.predict(file, out=tmp_path / "out", measure="shape", **options)
    with pytest.raises(SettingsError, match=r"measure was .*shape.*, now is .*intensity"):
        segmenter.predict(file, out=tmp_path / "out", measure="intensity", **options)


def test_stains_of_grey_planes_are_refused(segmenter: Segmenter, file: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="stain needs an image of red, green and blue"):
        segmenter.predict(file, out=tmp_path / "out", time="all", z="max", channel=0, measure="stain")


def test_planes_with_other_channels_have_all_columns(tmp_path: Path) -> None:
    nuclei = made(blobs()).outlined
    one, two = (replace(nuclei, measures={name: np.arange(5.0)}) for name in ("a", "b"))
    for file_format in ("csv", "parquet"):
        path = tmp_path / f"t.{file_format}"
        with open_stack_table(file_format, path, ("frame",), common_columns([one, two, one])) as table:
            table.add({"frame": 0}, one)
            table.add({"frame": 1}, two)
        found = pd.read_csv(path) if file_format == "csv" else pd.read_parquet(path)
        assert found["a"].tolist()[:5] == found["b"].tolist()[5:] == [0, 1, 2, 3, 4]
        assert found["a"][5:].isna().all()
        assert found["b"][:5].isna().all()


def test_a_stack_without_nuclei_has_all_columns(segmenter: Segmenter, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 40, 50), np.uint8), imagej=True, metadata={"axes": "TYX"})
    segmenter.predict(tmp_path / "a.tif", out=tmp_path / "out", time="all", formats=["csv", "parquet"], measure="shape")
    found = pd.read_csv(tmp_path / "out" / "nuclei.csv")
    assert len(found) == 0
    assert "nucleus_perimeter" in found
    assert list(pd.read_parquet(tmp_path / "out" / "nuclei.parquet"))[:-1] == list(found)
