"""Images of any size: the very nuclei of the whole image, whatever the tiles, the blocks, the workers and the kills."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import tifffile
from filelock import FileLock
from helpers.images import PICTURE, Foreign, draw_discs
from helpers.quality import random_score
from helpers.slides import RESULTS, StoredMaps, labels_in_blocks, random_maps
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nucleus_unet.errors import DataError, ImageError, MissingExtraError, SettingsError
from nucleus_unet.inference.grouping import group
from nucleus_unet.io.source import open_image
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.preprocessing.normalisation import percentile_range
from nucleus_unet.segmentation import Segmentation
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.executors.threads import run_on_threads
from nucleus_unet.slides.grid import TileGrid, widen
from nucleus_unet.slides.plan import survey_slide
from nucleus_unet.slides.result import SlideResult
from nucleus_unet.slides.store import is_intact, read_record, write_record
from nucleus_unet.slides.tasks import SlideTasks
from numpy.typing import NDArray


@pytest.fixture(scope="module")
def mosaic() -> NDArray[np.uint8]:
    """Some sixty discs, many of them touching, in 230 x 250 pixels."""
    places = np.random.default_rng(2).integers(0, 250, (70, 2))
    return draw_discs((230, 250), [(int(row), int(column), 6) for row, column in places])


def assert_same(result: SlideResult, expected: Segmentation) -> None:
    np.testing.assert_array_equal(tifffile.imread(result.labels_path), expected.labels)
    table = pyarrow.parquet.read_table(result.table_path)
    for name, values in expected.table.items():
        np.testing.assert_array_equal(table[name].to_numpy(), values, err_msg=name)
    assert json.loads(gzip.decompress(result.outlines_path.read_bytes())) == expected.to_geojson()
    assert len(result) == len(expected)
    assert result.plan.prediction == expected.plan


@pytest.mark.parametrize(("tile", "block", "workers"), [(136, 64, 1), (168, 101, 3), (1024, 1000, 2)])
def test_a_slide_has_the_nuclei_of_the_whole_image(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, tile: int, block: int, workers: int
) -> None:
    expected = segmenter.predict(mosaic)
    assert len(expected) > 30
    assert_same(segmenter.predict_slide(mosaic, out=tmp_path, tile=tile, block=block, workers=workers), expected)


@pytest.mark.parametrize("diameter", [7.0, 29.0])
def test_a_scaled_slide_has_the_nuclei_of_the_whole_image(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, diameter: float
) -> None:
    colours = np.stack([mosaic, mosaic // 2, 255 - mosaic], axis=-1)[:120, :130]
    expected = segmenter.predict(colours, diameter=diameter, min_area=30)
    result = segmenter.predict_slide(colours, out=tmp_path, diameter=diameter, min_area=30, tile=168, block=90)
    assert_same(result, expected)


@pytest.mark.parametrize("options", [{"diameter": 16.0}, {"diameter": 29.0}], ids=["scale 1", "scaled"])
def test_a_slide_drops_the_nuclei_of_low_quality_that_the_whole_image_drops(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, options: dict[str, Any]
) -> None:
    every = segmenter.predict(mosaic, **options)
    config = replace(segmenter.bundle.config, quality_score=random_score(2))
    learned = Segmenter(replace(segmenter.bundle, config=config), device="cpu", precision="float32")
    least = float(np.median(learned.predict(mosaic, min_quality=0, **options).qualities))
    expected = learned.predict(mosaic, min_quality=least, **options)
    assert 10 < len(expected) < len(every)
    options = {**options, "min_quality": least}
    assert_same(learned.predict_slide(mosaic, out=tmp_path, tile=168, block=90, **options), expected)


def test_a_flat_slide_has_no_nuclei(segmenter: Segmenter, tmp_path: Path) -> None:
    flat = np.full((70, 600), 7, np.uint8)
    assert_same(segmenter.predict_slide(flat, out=tmp_path), segmenter.predict(flat))


# The law of blocks, on maps that no network would give ------------------------------------------------------


def spiral(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A nucleus wound around its centre, whose every pixel points along the winding."""
    maps = np.full((*shape, 4), 128, np.uint8)
    maps[..., :2] = 0
    turns = np.linspace(0, 8 * np.pi, 6000)
    rows, columns = (
        np.rint(size / 2 + 2.2 * turns * wave(turns)).astype(int)
        for size, wave in zip(shape, (np.sin, np.cos), strict=True)
    )
    maps[rows, columns, 0] = 255
    maps[rows, columns, 1] = np.linspace(255, 60, len(turns)).astype(np.uint8)
    maps[rows, columns, 2] = np.clip(128 + 2 * (rows[0] - rows), 0, 255)
    maps[rows, columns, 3] = np.clip(128 + 2 * (columns[0] - columns), 0, 255)
    return maps


def nuclei_on_seams(shape: tuple[int, int], every: int) -> NDArray[np.uint8]:
    """A disc on every corner and in the middle of every side of blocks."""
    maps = np.full((*shape, 4), 128, np.uint8)
    maps[..., :2] = 0
    grid = np.indices(shape)
    offset = (grid + every // 4) % (every // 2) - every // 4
    inside = (offset**2).sum(axis=0) <= 36
    maps[inside, 0] = 255
    maps[..., 1] = np.where(inside, 250 - 4 * abs(offset).sum(axis=0), 0)
    maps[..., 2:] = np.moveaxis(128 - 2 * offset, 0, -1)
    return maps


SMALL = GroupConfig(
    max_offset=12, assignment_radius=5, merge_distance=6, centre_sigma=1, min_area=1, min_score=0, min_peak=0
)


@given(
    maps=st.builds(random_maps, st.integers(0, 2**32), st.tuples(st.integers(90, 160), st.integers(40, 130))),
    block=st.integers(17, 200),
    max_offset=st.integers(0, 30),
)
@settings(max_examples=12)
def test_blocks_decide_wild_maps_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, maps: NDArray[np.uint8], block: int, max_offset: int
) -> None:
    config = GroupConfig(
        max_offset=max_offset,
        assignment_radius=5,
        merge_distance=9,
        min_area=1,
        min_score=0,
        min_peak=0,
        quality=random_score(max_offset),
        min_quality=0.3,
    )
    work = StoredMaps(maps, config, tmp_path_factory.mktemp("work"), block=block)
    run_on_threads(work, workers=2, calls=2)
    whole = group(maps, config)
    np.testing.assert_array_equal(labels_in_blocks(work), whole.labels)
    found = [work.read_block(number) for number in work.block_numbers]
    qualities = np.concatenate([each.quality for each in found])
    np.testing.assert_array_equal(np.sort(qualities), np.sort(whole.qualities))


@pytest.mark.parametrize(
    ("maps", "config"),
    [(spiral((150, 140)), GroupConfig(min_score=0)), (nuclei_on_seams((150, 190), 60), SMALL)],
    ids=["spiral", "seams"],
)
@pytest.mark.parametrize("block", [30, 60])
def test_blocks_decide_what_lies_across_them_as_the_whole(
    maps: NDArray[np.uint8], config: GroupConfig, block: int, tmp_path: Path
) -> None:
    work = StoredMaps(maps, config, tmp_path, block=block)
    run_on_threads(work, workers=1, calls=2)
    expected = group(maps, config).labels
    assert expected.any()
    np.testing.assert_array_equal(labels_in_blocks(work), expected)


def test_maps_are_deleted_when_no_block_needs_them(tmp_path: Path) -> None:
    work = StoredMaps(nuclei_on_seams((150, 190), 60), SMALL, tmp_path, block=60)
    run_on_threads(work, workers=2, calls=2)
    assert list(tmp_path.glob("maps-*/*")) == []
    assert len(list(tmp_path.glob("nuclei-*/*"))) == len(work.blocks)


def test_blocks_know_the_tiles_they_need() -> None:
    grid = TileGrid((300, 410), tile=96, radius=20, stride=8)
    for block in grid.blocks(77, 31):
        region = widen(block, 31, (300, 410))
        touched = [
            number
            for number in range(len(grid.tiles))
            if all(a.start < b.stop and b.start < a.stop for a, b in zip(grid.core(number), region, strict=True))
        ]
        assert grid.covering(region) == touched


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 250), st.integers(1, 250), st.integers(72, 120), st.integers(1, 140), st.integers(0, 80))
def test_blocks_cut_an_image_without_gap_or_overlap(height: int, width: int, tile: int, side: int, margin: int) -> None:
    covered = np.zeros((height, width), np.uint8)
    for block in TileGrid((height, width), tile=tile, radius=20, stride=8).blocks(side, margin):
        assert 0 < block.rows.stop - block.rows.start <= side
        assert 0 < block.columns.stop - block.columns.start <= side
        covered[block] += 1
    assert (covered == 1).all()


def test_all_blocks_but_the_last_are_decided_before_the_last_tile() -> None:
    grid = TileGrid((900, 900), tile=400, radius=20, stride=8)
    last = len(grid.tiles) - 1
    waiting = [block for block in grid.blocks(400, 31) if last in grid.covering(widen(block, 31, grid.shape))]
    assert len(waiting) == 1


# Interrupted runs -----------------------------------------------------------------------------------------

RUN = """
import sys, threading
import tifffile
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.tasks import SlideTasks, TaskSpec
written, lock = 0, threading.Lock()
def counted(step):
    def call(*arguments):
        global written
        step(*arguments)
        with lock:
            written += 1
            print(written, flush=True)
    return call
SlideTasks.save_maps, SlideTasks.group_block = counted(SlideTasks.save_maps), counted(SlideTasks.group_block)
segmenter = Segmenter.from_pretrained(sys.argv[1], device="cpu", precision="float32")
segmenter.predict_slide(sys.argv[2], out=sys.argv[3], tile=136, block=64, workers=2)
"""


def test_a_run_that_is_killed_goes_on_and_ends_with_the_very_files_of_an_undisturbed_one(
    segmenter: Segmenter, tiny_bundle: Path, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, mosaic, tile=(64, 64), compression="zlib")
    segmenter.predict_slide(path, out=tmp_path / "undisturbed", tile=168, block=120)
    command = [sys.executable, "-c", RUN, str(tiny_bundle), str(path), str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 17:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    kept = list((tmp_path / "killed" / "work").glob("*/*"))
    assert kept, "nothing to go on from"
    segmenter.predict_slide(path, out=tmp_path / "killed", tile=136, block=64)
    for name in RESULTS:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes(), name
    assert not (tmp_path / "killed" / "work").exists()


def interrupted(monkeypatch: pytest.MonkeyPatch, segmenter: Segmenter, slide: Any, out: Path, tiles: int) -> None:
    """Run until so many tiles are predicted."""
    predict = SlideTasks.predict
    left = [tiles]

    def predict_some(self: SlideTasks, tile: tuple[int, NDArray[np.float32]]) -> NDArray[np.uint8]:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return predict(self, tile)

    with monkeypatch.context() as patch:
        patch.setattr(SlideTasks, "predict", predict_some)
        with pytest.raises(KeyboardInterrupt):
            segmenter.predict_slide(slide, out=out, tile=136, block=300)


def test_no_finished_tile_is_predicted_again_but_a_damaged_one_is(
    segmenter: Segmenter,
    mosaic: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    interrupted(monkeypatch, segmenter, mosaic, tmp_path, 9)
    stored = sorted((tmp_path / "work" / "maps-136").iterdir())
    assert len(stored) >= 8
    stored[3].write_bytes(stored[3].read_bytes()[:-5])
    saved: list[int] = []
    save_maps = SlideTasks.save_maps
    monkeypatch.setattr(
        SlideTasks, "save_maps", lambda self, number, maps: (saved.append(number), save_maps(self, number, maps))[1]
    )
    result = segmenter.predict_slide(mosaic, out=tmp_path, tile=136, block=300)
    assert 3 in saved
    assert not {int(path.name) for path in stored} & set(saved) - {3}
    assert "damaged or of another version, and is made again" in caplog.text
    monkeypatch.undo()
    np.testing.assert_array_equal(tifffile.imread(result.labels_path), segmenter.predict(mosaic).labels)


def test_a_finished_run_does_nothing(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = tmp_path / "slide.tif", tmp_path / "out"
    tifffile.imwrite(path, mosaic)
    first = segmenter.predict_slide(path, out=out)
    before = {each.name: (each.stat().st_mtime_ns, each.stat().st_ino) for each in out.iterdir() if each.name != "lock"}
    monkeypatch.setattr(SlideTasks, "predict", None)
    monkeypatch.setattr("nucleus_unet.slides.run.survey_slide", None)
    again = segmenter.predict_slide(path, out=out, tile=136)
    assert again == first
    after = {each.name: (each.stat().st_mtime_ns, each.stat().st_ino) for each in out.iterdir() if each.name != "lock"}
    assert after == before


def test_a_run_of_another_plan_is_refused_with_what_differs(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(monkeypatch, segmenter, mosaic, tmp_path, 2)
    with pytest.raises(SettingsError, match=r"group\.foreground_threshold was 0\.5, now is 0\.25"):
        segmenter.predict_slide(mosaic, out=tmp_path, threshold=0.25)
    with pytest.raises(SettingsError, match=r"pixels was \w+, now is \w+"):
        segmenter.predict_slide(mosaic[::-1], out=tmp_path)
    other = Segmenter.from_pretrained(device="cpu", precision="float32")
    with pytest.raises(SettingsError, match=r"model was tiny, now is embedded; fingerprint was"):
        other.predict_slide(mosaic, out=tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"height": 60}', b"[" * 100_000, b"\xff\xfe{"])
def test_a_plan_that_is_none_is_said_to_be_damaged(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(DataError, match=r"plan.json is damaged \(.*\): give another out= to start a new run"):
        segmenter.predict_slide(mosaic[:60], out=tmp_path)
    assert (tmp_path / "plan.json").read_bytes() == content


@pytest.mark.parametrize(
    "content", ["[]", '{"nuclei": -1, "files": []}', '{"nuclei": 2.7, "files": []}', "[" * 100_000]
)
def test_a_summary_that_is_none_is_made_again(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, content: str
) -> None:
    first = segmenter.predict_slide(mosaic[:60], out=tmp_path)
    (tmp_path / "summary.json").write_text(content)
    assert segmenter.predict_slide(mosaic[:60], out=tmp_path) == first


def test_a_damaged_survey_is_not_believed(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, out = tmp_path / "slide.tif", tmp_path / "out"
    tifffile.imwrite(path, mosaic[:60])
    segmenter.predict_slide(path, out=out)
    seen, picture = (out / "survey.json").read_text(), (out / "overview.png").read_bytes()
    known = json.loads(seen)
    (out / "survey.json").write_text(json.dumps(known | {"thumbnail": known["thumbnail"][:-80]}))
    (out / "overview.png").unlink()
    segmenter.predict_slide(path, out=out)
    assert "survey.json is damaged: the slide is surveyed again" in caplog.text
    assert (out / "survey.json").read_text() == seen
    assert (out / "overview.png").read_bytes() == picture


@pytest.mark.parametrize("name", ["summary.json", "labels.tif"])
def test_a_result_that_was_lost_is_made_again(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, name: str
) -> None:
    first = segmenter.predict_slide(mosaic[:60], out=tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    assert segmenter.predict_slide(mosaic[:60], out=tmp_path) == first
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("name", ["labels.tif", "overview.png"])
def test_a_result_that_was_cut_off_is_made_again(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    segmenter.predict_slide(mosaic[:60], out=tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:100])
    segmenter.predict_slide(mosaic[:60], out=tmp_path)
    assert f"{name} is damaged" in caplog.text
    assert (tmp_path / name).read_bytes() == content


def test_a_summary_that_lists_no_files_is_not_believed(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    first = segmenter.predict_slide(mosaic[:60], out=tmp_path)
    (tmp_path / "summary.json").write_text('{"nuclei": 5, "files": []}')
    (tmp_path / "labels.tif").unlink()
    assert segmenter.predict_slide(mosaic[:60], out=tmp_path) == first


def test_without_its_extra_a_run_says_what_to_install_before_it_begins(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[slides\]'"):
        segmenter.predict_slide(mosaic, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_runs_do_not_share_a_folder(segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / "lock"),
        pytest.raises(SettingsError, match=r"another process works in .*: wait for it, or choose another out="),
    ):
        segmenter.predict_slide(mosaic, out=tmp_path)


def test_a_folder_of_other_things_is_left_alone(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(SettingsError, match="holds other things"):
        segmenter.predict_slide(mosaic, out=tmp_path)
    with pytest.raises(SettingsError, match="expected a folder"):
        segmenter.predict_slide(mosaic, out=tmp_path / "thesis.docx")
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.docx"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 50}, "tile: expected at least 96 pixels"),
        ({"block": 0}, "block: expected a whole number of at least 16, got 0"),
        ({"block": 1}, "block: expected a whole number of at least 16, got 1"),
        ({"workers": 1.5}, "workers: expected a whole number of 1 to 1024, got 1.5"),
        ({"threshold": 2}, "threshold: expected a probability"),
    ],
)
def test_options_are_refused_before_anything_is_written(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        segmenter.predict_slide(mosaic, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("side", "options", "error", "message"),
    [
        (2**31, {}, ImageError, r"slide: expected at most .* pixels.*, got 2,147,483,648 x 2,147,483,648; if"),
        (
            2**20,
            {"tile": 136},
            SettingsError,
            r"tile: .* cuts 1048576 x 1048576 pixels into at most .*, got 136, which",
        ),
        (
            2**20,
            {"tile": 1280, "block": 100},
            SettingsError,
            r"block: .* at most 1,048,576 parts, got 100, which makes 111,450,249",
        ),
    ],
)
def test_what_is_too_large_to_keep_track_of_is_refused_before_memory_goes(
    segmenter: Segmenter, tmp_path: Path, side: int, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    claimed = np.broadcast_to(np.uint8(0), (side, side))
    with pytest.raises(error, match=message):
        segmenter.predict_slide(claimed, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_record_that_is_not_as_written_is_never_believed(tmp_path: Path) -> None:
    path = tmp_path / "record"
    arrays = {"a": np.arange(10)[::2], "b": np.zeros((0, 3), np.float32), "c": np.ones((2, 3), np.uint8).T}
    write_record(path, arrays)
    for name, values in read_record(path).items():
        np.testing.assert_array_equal(values, arrays[name], strict=True)
    content = path.read_bytes()
    of_another_layout = hashlib.sha256(content[32:]).digest() + content[32:]
    for damaged in (content[:-1], b"", content[:40] + b"x" + content[41:], of_another_layout):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged"):
            read_record(path)
        assert not is_intact(path)
        assert not path.exists()


# Memory ---------------------------------------------------------------------------------------------------

PEAK = """
import sys
from pathlib import Path
from nucleus_unet.segmenter import Segmenter
segmenter = Segmenter.from_pretrained(sys.argv[1], device="cpu", precision="float32")
segmenter.predict_slide(sys.argv[2], out=sys.argv[3], tile=512, block=512, workers=1)
print(*(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process without its parent's")
def test_a_slide_of_four_times_the_pixels_takes_no_more_memory(
    tiny_bundle: Path, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    def peak(repeats: int) -> int:
        path, out = tmp_path / f"{repeats}.tif", tmp_path / str(repeats)
        tifffile.imwrite(path, np.tile(mosaic, (repeats, 8)), tile=(256, 256), compression="zlib")
        command = [sys.executable, "-c", PEAK, str(tiny_bundle), str(path), str(out)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        return int(said.split()[-2]) * 1024

    added = 24 * 8 * mosaic.size
    assert peak(32) < peak(8) + 4 * added, "as much as the labels of what was added"


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_levels_are_the_percentiles_that_numpy_finds(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucleus_unet.slides.plan._REGION_SIDE", 100)
    picture = ((PICTURE.astype(np.uint16) * 200) % 40_000).astype(dtype)
    if picture.dtype.kind == "f":
        picture = np.random.default_rng(3).normal(0, 1, PICTURE.shape).astype(dtype) ** 5
    black, white = np.percentile(picture, (1, 99.8))
    assert survey_slide(open_image(picture).plane(), cell=64, workers=2).levels.intensity_range == (black, white)


def floating_point(dtype: type) -> st.SearchStrategy[NDArray[Any]]:
    width: Any = 8 * np.dtype(dtype).itemsize
    numbers = st.floats(-(2.0**99), 2.0**99, width=width, allow_subnormal=False)
    return arrays(dtype, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=numbers)


@given(numbers=floating_point(np.float32) | floating_point(np.float64))
@settings(max_examples=60)
def test_levels_of_floating_point_numbers_are_those_of_predict(numbers: NDArray[Any]) -> None:
    assert survey_slide(open_image(numbers).plane(), cell=64, workers=1).levels.intensity_range == percentile_range(
        numbers
    )


def test_a_slide_of_floating_point_numbers_has_the_nuclei_of_the_whole_image(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    picture = np.stack([mosaic / 7, mosaic / 3 - 40, mosaic / 11], axis=-1).astype(np.float32)
    tifffile.imwrite(tmp_path / "slide.tif", picture, tile=(64, 64), compression="zlib", photometric="rgb")
    expected = segmenter.predict(picture)
    assert len(expected) > 30
    result = segmenter.predict_slide(tmp_path / "slide.tif", out=tmp_path / "out", tile=136, block=64)
    assert_same(result, expected)


def test_pixels_that_are_no_numbers_are_counted_and_refused(segmenter: Segmenter, tmp_path: Path) -> None:
    picture = np.ones((40, 50, 3), np.float32)
    picture[7, 8], picture[9, 9, 1] = np.nan, np.inf
    with pytest.raises(ImageError, match="expected finite numbers, got 2 pixels that are NaN or infinite"):
        segmenter.predict_slide(picture, out=tmp_path / "out")


class Flickering(Foreign):
    """An array whose numbers differ each time they are read."""

    dtype = np.dtype(np.float32)

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[Any]:
        return self._rng.random(PICTURE[key].shape, np.float32)


def test_a_slide_that_changes_between_two_looks_is_refused() -> None:
    with pytest.raises(ImageError, match="its pixels changed while they were read"):
        survey_slide(open_image(Flickering()).plane(), cell=64, workers=1)


@pytest.mark.parametrize(
    ("size", "said"), [(0.25, None), (0, "give mpp="), (51, "give mpp="), (0.009, "give mpp="), (None, "give mpp=")]
)
def test_a_pixel_size_that_is_missing_or_absurd_is_asked_for(
    segmenter: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture, size: float | None, said: str | None
) -> None:
    path = tmp_path / "slide.ome.tif"
    facts = {"axes": "YX"} | ({} if size is None else {"PhysicalSizeX": size})
    tifffile.imwrite(path, np.arange(1600, dtype=np.uint16).reshape(40, 40), ome=True, metadata=facts)
    with caplog.at_level(logging.WARNING):
        segmenter.predict_slide(path, out=tmp_path / "out")
    assert (said in caplog.text) if said else not caplog.records


def test_the_pixel_size_that_is_asked_for_is_that_of_the_results(segmenter: Segmenter, tmp_path: Path) -> None:
    result = segmenter.predict_slide(np.zeros((40, 40), np.uint8), out=tmp_path, mpp=0.4)
    assert result.plan.mpp == 0.4
    with tifffile.TiffFile(result.labels_path) as file:
        assert 'PhysicalSizeX="0.4"' in file.ome_metadata
