"""Time series and stacks: one result for each plane, as an iterator or on disk."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pandas as pd
import pytest
import tifffile
import xarray
import zarr
from helpers.images import draw_discs
from helpers.stacks import NAMES, SHAPE, draw_stack, write_hyperstack
from nucleus_unet import Segmentation, Segmenter, StackResult
from nucleus_unet.errors import CancelledError, DataError, ImageError, SettingsError
from nucleus_unet.inference.engine import Engine
from nucleus_unet.io.selection import Place
from nucleus_unet.options import PredictOptions
from nucleus_unet.stacks.planes import write_planes
from numpy.typing import NDArray

STACK = draw_stack()
AXES = "TZCYX"


@pytest.fixture(params=["OME", "ImageJ"])
def hyperstack(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_hyperstack(tmp_path / "cells.tif", STACK, request.param)


def labels_of(segmenter: Segmenter, planes: NDArray[Any], **options: Any) -> NDArray[np.uint32]:
    return np.stack([segmenter.predict(plane, **options).labels for plane in planes])


def iterate(segmenter: Segmenter, image: Any, **options: Any) -> list[Segmentation]:
    return list(segmenter.predict(image, **options))


def write(segmenter: Segmenter, image: Any, out: Path, **options: Any) -> StackResult:
    result = segmenter.predict(image, out=out, **options)
    assert isinstance(result, StackResult)
    return result


def test_each_time_is_segmented_as_its_pixels_alone(segmenter: Segmenter, hyperstack: Path) -> None:
    found = iterate(segmenter, hyperstack, time="all", z="max", channel=0)
    assert [each.place for each in found] == [Place(0, found[0].place.scene_name, frame, None) for frame in range(20)]
    expected = labels_of(segmenter, STACK[:, :, 0].max(axis=1))
    assert expected.any(axis=(1, 2)).all()
    np.testing.assert_array_equal([each.labels for each in found], expected)
    assert {each.mpp for each in found} == {0.5}


def test_each_plane_has_its_own_levels(segmenter: Segmenter, hyperstack: Path) -> None:
    found = iterate(segmenter, hyperstack, time="all", z=0, channel=0)
    ranges = [each.plan.intensity_range for each in found]
    assert ranges == [segmenter.predict(plane).plan.intensity_range for plane in STACK[:, 0, 0]]
    assert len({str(each) for each in ranges}) > 10


def test_one_plane_is_one_segmentation(segmenter: Segmenter, hyperstack: Path) -> None:
    one = segmenter.predict(hyperstack, time=3, z="mean", channel=[0, 1], combine="max")
    assert isinstance(one, Segmentation)
    pixels = STACK[3].max(axis=1).mean(axis=0).astype(np.float32)
    np.testing.assert_array_equal(one.labels, segmenter.predict(pixels).labels)
    assert one.place == Place(0, one.place.scene_name, 3, None)


def test_a_range_of_one_is_an_iterator_too(segmenter: Segmenter) -> None:
    found = segmenter.predict(draw_discs(SHAPE, [(20, 20, 7)]), time="0:1")
    assert not isinstance(found, Segmentation)
    assert [len(each) for each in found] == [1]


@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr", "xarray", "xarray of dask"])
def test_arrays_of_named_axes_are_segmented_like_files(segmenter: Segmenter, kind: str) -> None:
    stack = STACK[:3]
    dims = ("time", "z", "channel", "y", "x")
    lazy = dask.array.from_array(stack, chunks=(1, 1, 1, *SHAPE))
    named = zarr.create_array({}, shape=stack.shape, dtype="u1", chunks=(1, 1, 1, *SHAPE), dimension_names=dims)
    named[...] = stack
    image, axes = {
        "numpy": (stack, AXES),
        "dask": (lazy, AXES),
        "zarr": (named, None),
        "xarray": (xarray.DataArray(stack, dims=dims, coords={"channel": NAMES}), None),
        "xarray of dask": (xarray.DataArray(lazy, dims=dims), None),
    }[kind]
    channel = "GFP" if kind == "xarray" else 1
    found = iterate(segmenter, image, axes=axes, time="all", z="all", channel=channel)
    expected = labels_of(segmenter, stack[:, :, 1].reshape(-1, *SHAPE))
    np.testing.assert_array_equal([each.labels for each in found], expected)


def test_what_is_wrong_is_told_at_once_and_not_when_the_iterator_comes_to_it(
    segmenter: Segmenter, hyperstack: Path
) -> None:
    with pytest.raises(ImageError, match="3 planes"):
        segmenter.predict(hyperstack, time="all", channel=0)
    with pytest.raises(FileNotFoundError):
        segmenter.predict("none.tif", time="all")


def test_several_planes_of_several_images_are_refused(segmenter: Segmenter, hyperstack: Path, tmp_path: Path) -> None:
    for options in ({"time": "all"}, {"out": tmp_path / "out"}):
        with pytest.raises(SettingsError, match="call predict for each image"):
            segmenter.predict([hyperstack, hyperstack], **options)


@pytest.mark.parametrize("z", ["max", "all"])
def test_a_stack_on_disk_has_the_labels_axes_and_pixel_size(
    segmenter: Segmenter, hyperstack: Path, tmp_path: Path, z: str
) -> None:
    result = write(segmenter, hyperstack, tmp_path / "out", time="all", z=z, channel="0")
    planes = STACK[:, :, 0].max(axis=1, keepdims=True) if z == "max" else STACK[:, :, 0]
    expected = labels_of(segmenter, planes.reshape(-1, *SHAPE)).reshape(planes.shape)
    with tifffile.TiffFile(tmp_path / "out" / "labels.ome.tif") as file:
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        assert [pixels[f"Size{axis}"] for axis in "TZCYX"] == [20, planes.shape[1], 1, *SHAPE]
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.5, "µm")
        np.testing.assert_array_equal(file.asarray().reshape(planes.shape), expected)
    assert len(result) == expected.reshape(len(result.planes), -1).max(axis=1).sum()


def test_one_table_has_the_rows_of_all_planes(segmenter: Segmenter, hyperstack: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"time": "0:4", "z": "1:3", "channel": [0, 1]}
    result = write(segmenter, hyperstack, tmp_path / "out", formats=["csv", "parquet"], **options)
    table = pd.read_csv(tmp_path / "out" / "nuclei.csv")
    found = iterate(segmenter, hyperstack, **options)
    assert list(table.columns) == ["scene", "frame", "plane", *found[0].table]
    for each in found:
        rows = table[(table["frame"] == each.place.frame) & (table["plane"] == each.place.plane)]
        pd.testing.assert_frame_equal(
            rows[list(each.table)].reset_index(drop=True), pd.DataFrame(each.table), check_dtype=False
        )
    assert len(table) == len(result) == sum(map(len, found))
    binary = pd.read_parquet(tmp_path / "out" / "nuclei.parquet").drop(columns="geometry")
    pd.testing.assert_frame_equal(binary.astype({"scene": str}), table.astype({"scene": str}), check_dtype=False)
    summary = pd.read_csv(tmp_path / "out" / "planes.csv")
    assert list(summary["nuclei"]) == [len(each) for each in found]
    assert list(summary["scale"]) == [each.plan.scale for each in found]
    assert [*summary["expected_msa"].fillna(-1)] == [
        -1 if each.plan.expected_msa is None else each.plan.expected_msa for each in found
    ]


def test_frames_for_trackers(segmenter: Segmenter, hyperstack: Path, tmp_path: Path) -> None:
    write(segmenter, hyperstack, tmp_path / "out", formats=["ctc"], time="all", z="all", channel=0)
    frames = sorted((tmp_path / "out" / "01_RES").iterdir())
    assert [path.name for path in frames] == [f"mask{number:03}.tif" for number in range(20)]
    expected = labels_of(segmenter, STACK[7, :, 0])
    np.testing.assert_array_equal(tifffile.imread(frames[7]), expected)


def test_scenes_get_folders_and_share_one_table(segmenter: Segmenter, tmp_path: Path) -> None:
    images = [draw_discs(SHAPE, [(20, 20, 7)]), draw_discs((60, 90), [(20, 20, 7), (40, 60, 8)])]
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        for name, image in zip(["left: 1/2", "right"], images, strict=True):
            file.write(image, metadata={"axes": "YX", "Name": name})
    result = write(segmenter, tmp_path / "a.ome.tif", tmp_path / "out", scene="all")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in result.files] == [
        "planes.csv",
        "nuclei.csv",
        "0-left_1_2/labels.ome.tif",
        "1-right/labels.ome.tif",
    ]
    assert list(pd.read_csv(tmp_path / "out" / "nuclei.csv")["scene"]) == ["left: 1/2", "right", "right"]
    right = segmenter.predict(tmp_path / "a.ome.tif", scene="right")
    np.testing.assert_array_equal(tifffile.imread(result.files[3]), right.labels)


class LazyStack:
    """A time series that is drawn where it is read, and counts what is read."""

    dtype = np.dtype(np.uint8)

    def __init__(self, times: int, side: int = 256) -> None:
        self.shape = (times, side, side)
        self.reads = 0
        self._plane = draw_discs((side, side), [(40, 40, 9), (100, 180, 9)])

    def __getitem__(self, key: tuple[int, slice, slice]) -> NDArray[np.uint8]:
        self.reads += 1
        return np.roll(self._plane, key[0], axis=1)[key[1:]]


def test_planes_are_read_as_the_iterator_advances(segmenter: Segmenter) -> None:
    stack = LazyStack(1000)
    found = segmenter.predict(stack, axes="TYX", time="all")
    next(found)
    next(found)
    assert stack.reads < 10
    found.close()


@pytest.mark.parametrize("to_disk", [False, True])
def test_memory_does_not_grow_with_the_number_of_times(segmenter: Segmenter, tmp_path: Path, to_disk: bool) -> None:
    def peak(times: int, run: int = 0) -> int:
        stack = LazyStack(times)
        tracemalloc.start()
        if to_disk:
            write(segmenter, stack, tmp_path / f"{times}-{run}", axes="TYX", time="all", formats=["tif", "csv", "ctc"])
        else:
            assert sum(1 for _ in segmenter.predict(stack, axes="TYX", time="all")) == times
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(3)  # what is loaded at the first call
    # Threads finish their planes in any order, so some planes more or fewer are in memory at the same time. That does
    # not depend on the number of times, so a long series shows less of it for each time.
    few, many = min(peak(24, run) for run in range(3)), peak(240)
    assert (many - few) / 216 < 16 * 2**10, (few, many)  # a label image has 256 KiB


def test_a_call_that_was_cancelled_goes_on_with_the_planes_that_are_done(
    segmenter: Segmenter, hyperstack: Path, tmp_path: Path
) -> None:
    cancel, out = threading.Event(), tmp_path / "out"

    def report(_step: str, done: int, _total: int) -> None:
        if done == 8:
            cancel.set()

    options: dict[str, Any] = {"time": "all", "z": "max", "channel": 0}
    with pytest.raises(CancelledError):
        write(segmenter, hyperstack, out, progress=report, cancel=cancel, **options)
    assert [path.name for path in out.iterdir()] == ["work"]
    stored = len(list((out / "work").glob("*.npz")))
    assert 8 <= stored < 20
    calls = counted(segmenter)
    write(calls, hyperstack, out, **options)
    assert calls.calls == 20 - stored
    write(segmenter, hyperstack, tmp_path / "at once", **options)
    assert contents(out) == contents(tmp_path / "at once")


def test_an_interruption_ends_the_plane_in_progress_before_its_next_tile(tmp_path: Path) -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless(_source: Any, place: Place, options: PredictOptions, _pixels: Any) -> Segmentation:
        if place.frame == 0:
            assert begun.wait(30)
            raise KeyboardInterrupt
        begun.set()
        if options.cancel is not None and options.cancel.wait(30):
            ended.set()
        raise CancelledError("the call was cancelled")

    options = PredictOptions(axes="TYX", time="all")
    settings = {"diameter": None, "mpp": None}
    with pytest.raises(KeyboardInterrupt):
        write_planes(
            STACK[:4, 0, 0], tmp_path / "out", options, endless, formats=["csv"], settings=settings, overwrite=False
        )
    assert ended.is_set()


def test_a_process_that_was_killed_leaves_nothing_half_and_goes_on(
    tiny_bundle: Path, segmenter: Segmenter, hyperstack: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    script = (
        "import os, sys\n"
        "from nucleus_unet import Segmenter\n"
        "def report(step, done, total):\n"
        "    if done == 5: os._exit(9)\n"
        f"Segmenter.from_pretrained({str(tiny_bundle)!r}, device='cpu', precision='float32').predict(\n"
        f"    {str(hyperstack)!r}, out={str(out)!r}, time='all', z='max', channel=0, progress=report)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert [path.name for path in out.iterdir()] == ["work"]
    (out / ".nucleus-unet-half").write_bytes(b"II*")
    write(segmenter, hyperstack, out, time="all", z="max", channel=0)
    assert sorted(path.name for path in out.iterdir()) == ["labels.ome.tif", "nuclei.csv", "planes.csv", "run.json"]


@pytest.mark.parametrize("content", [b"", b"PK\3\4 half of a file"])
def test_a_damaged_plane_of_a_killed_run_is_segmented_again(
    segmenter: Segmenter, hyperstack: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "out" / "work").mkdir(parents=True)
    (tmp_path / "out" / "work" / "0-1-projected.npz").write_bytes(content)
    options: dict[str, Any] = {"time": "0:2", "z": "max", "channel": 0}
    write(segmenter, hyperstack, tmp_path / "out", **options)
    write(segmenter, hyperstack, tmp_path / "at once", **options)
    assert contents(tmp_path / "out") == contents(tmp_path / "at once")


def test_planes_of_other_pixels_or_settings_are_not_taken_for_finished(segmenter: Segmenter, tmp_path: Path) -> None:
    stack, cancel = STACK[:4, 0, 0].copy(), threading.Event()

    def report(_step: str, done: int, _total: int) -> None:
        if done == 3:
            cancel.set()

    with pytest.raises(CancelledError):
        write(segmenter, stack, tmp_path / "out", axes="TYX", time="all", progress=report, cancel=cancel)
    stack[0] = stack[0, ::-1]
    result = write(segmenter, stack, tmp_path / "out", axes="TYX", time="all", min_area=30)
    expected = labels_of(segmenter, stack, min_area=30)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "labels.ome.tif"), expected)
    assert len(result.planes) == 4


def test_a_finished_run_does_nothing_and_another_is_refused(
    segmenter: Segmenter, hyperstack: Path, tmp_path: Path
) -> None:
    out, options = tmp_path / "out", {"time": "0:3", "z": 0, "channel": 0}
    first = write(segmenter, hyperstack, out, **options)
    calls = counted(segmenter)
    assert write(calls, hyperstack, out, **options) == first
    assert calls.calls == 0
    with pytest.raises(SettingsError, match=r"another run: min_area was None, now is 30. Give another out="):
        write(segmenter, hyperstack, out, **options, min_area=30)
    with pytest.raises(SettingsError, match=r"another run: the image was .*cells.*, now is an array"):
        write(segmenter, STACK, out, **options, axes=AXES)
    again = write(segmenter, hyperstack, out, **options, min_area=30, formats=["ctc"], overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["01_RES", "planes.csv", "run.json"]
    assert len(again) <= len(first)


def test_a_further_format_is_added_to_a_finished_run(segmenter: Segmenter, hyperstack: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"time": "0:3", "z": 0, "channel": 0}
    write(segmenter, hyperstack, tmp_path / "out", **options)
    result = write(segmenter, hyperstack, tmp_path / "out", **options, formats=["parquet"])
    names = {path.name for path in result.files}
    assert names == {"labels.ome.tif", "nuclei.csv", "nuclei.parquet", "planes.csv"}
    assert all(path.exists() for path in result.files)


def test_a_file_that_changed_is_segmented_again(segmenter: Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for stack in STACK[:3, 0, 0], STACK[3:6, 0, 0, ::-1]:
        tifffile.imwrite(path, stack, metadata={"axes": "TYX"}, photometric="minisblack")
        write(segmenter, path, tmp_path / "out", time="all")
    expected = labels_of(segmenter, STACK[3:6, 0, 0, ::-1])
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "labels.ome.tif"), expected)


def test_files_of_others_are_not_overwritten(segmenter: Segmenter, hyperstack: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out", {"time": "0:2", "z": 0, "channel": 0}
    out.mkdir()
    (out / "nuclei.csv").write_text("mine")
    with pytest.raises(SettingsError, match=r"nuclei.csv is there, and no run of this folder wrote it"):
        write(segmenter, hyperstack, out, **options)
    assert [path.name for path in out.iterdir()] == ["nuclei.csv"]
    write(segmenter, hyperstack, out, **options, overwrite=True)
    assert (out / "nuclei.csv").read_text().startswith("scene,frame,plane,label")


@pytest.mark.parametrize("record", ["{", "[]", '{"planes": 3}', '{"files": ["../x"]}'])
def test_a_damaged_record_is_told(segmenter: Segmenter, hyperstack: Path, tmp_path: Path, record: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text(record)
    with pytest.raises(SettingsError, match=r"run.json is damaged .*overwrite=True"):
        write(segmenter, hyperstack, tmp_path / "out", time="all", z=0, channel=0)


def test_a_record_never_names_files_of_other_folders(segmenter: Segmenter, hyperstack: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "out", {"time": "0:2", "z": 0, "channel": 0}
    write(segmenter, hyperstack, out, **options)
    (tmp_path / "mine.txt").write_text("mine")
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(record | {"files": ["../mine.txt"], "settings": {}}))
    write(segmenter, hyperstack, out, **options, overwrite=True)
    assert (tmp_path / "mine.txt").exists()


def test_an_image_that_cannot_be_read_leaves_no_folder(segmenter: Segmenter, tmp_path: Path) -> None:
    stack = STACK[:2, 0, 0].astype(np.float32)
    stack[:, 3, 3] = np.nan
    with pytest.raises(ImageError, match="finite"):
        write(segmenter, stack, tmp_path / "out", axes="TYX", time="all")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("formats", [[], ["png"], ["tif", "geojson"]])
def test_formats_of_one_plane_are_refused_for_several(segmenter: Segmenter, tmp_path: Path, formats: list[str]) -> None:
    with pytest.raises(SettingsError, match="expected some of tif, csv, parquet, ctc of several planes"):
        write(segmenter, STACK, tmp_path / "out", axes=AXES, time="all", z="max", channel=0, formats=formats)


def test_damage_of_a_stored_plane_is_told(tmp_path: Path) -> None:
    from nucleus_unet.stacks.store import PlaneStore

    with pytest.raises(DataError, match="repeat the same call"):
        PlaneStore(tmp_path).labels(Place())


class CountingEngine:
    """An engine that counts its calls: one for each small plane."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.calls = engine, 0

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.calls += 1
        return self._engine.run(images)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class counted(Segmenter):  # noqa: N801
    """A segmenter that counts the planes that it segments."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.bundle, self.engine = segmenter.bundle, CountingEngine(segmenter.engine)

    @property
    def calls(self) -> int:
        return self.engine.calls


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
