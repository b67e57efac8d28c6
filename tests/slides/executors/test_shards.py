"""One slide, many machines: shards that wait for nobody, and results of one machine, to the byte."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from helpers.images import draw_discs
from helpers.slides import RESULTS
from nucleus_unet.errors import SettingsError
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.tasks import SlideTasks
from numpy.typing import NDArray

SIZES: Any = {"tile": 136, "block": 64}


@pytest.fixture(scope="module")
def mosaic() -> NDArray[np.uint8]:
    """Discs, many of them touching and many across the borders of blocks, in 230 x 250 pixels."""
    places = np.random.default_rng(3).integers(0, 250, (70, 2))
    return draw_discs((230, 250), [(int(row), int(column), 6) for row, column in places])


@pytest.fixture(scope="module")
def alone(segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one machine leaves of the mosaic."""
    folder = tmp_path_factory.mktemp("alone")
    assert len(segmenter.predict_slide(mosaic, out=folder, tile=168, block=110)) > 30
    return folder


@pytest.mark.parametrize("of", [1, 3, 40])
def test_merged_shards_leave_the_very_files_of_one_machine(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], alone: Path, tmp_path: Path, of: int
) -> None:
    for number in np.random.default_rng(of).permutation(of) + 1:
        segmenter.predict_slide(mosaic, out=tmp_path, shard=(int(number), of), **SIZES)
    segmenter.predict_slide(mosaic, out=tmp_path, merge=True, **SIZES)
    for name in RESULTS:
        assert (tmp_path / name).read_bytes() == (alone / name).read_bytes(), name
    assert not (tmp_path / "work").exists()


SHARD = """
import sys
import numpy as np
from nucleus_unet.segmenter import Segmenter
segmenter = Segmenter.from_pretrained(sys.argv[1], device="cpu", precision="float32")
segmenter.predict_slide(sys.argv[2], out=sys.argv[3], shard=(int(sys.argv[4]), 3), tile=136, block=64)
"""


def test_shards_run_at_once_and_wait_for_nobody(
    segmenter: Segmenter, tiny_bundle: Path, mosaic: NDArray[np.uint8], alone: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "slide.npy", mosaic)
    out = tmp_path / "out"
    command = [sys.executable, "-c", SHARD, str(tiny_bundle), str(tmp_path / "slide.npy"), str(out)]
    shards = [subprocess.Popen([*command, str(number)]) for number in (1, 2, 3)]
    assert [shard.wait() for shard in shards] == [0, 0, 0]
    segmenter.predict_slide(tmp_path / "slide.npy", out=out, merge=True, **SIZES)
    for name in RESULTS:
        assert (out / name).read_bytes() == (alone / name).read_bytes(), name


def test_no_block_is_grouped_by_two_shards(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouped: list[int] = []
    group_block = SlideTasks.group_block
    monkeypatch.setattr(
        SlideTasks, "group_block", lambda self, number: (grouped.append(number), group_block(self, number))
    )
    shares = []
    for number in range(1, 5):
        segmenter.predict_slide(mosaic, out=tmp_path, shard=(number, 4), **SIZES)
        shares.append(len(grouped) - sum(shares))
    assert sorted(grouped) == list(range(20))
    assert max(shares) <= 6


def test_a_merge_says_which_shards_are_missing_and_writes_nothing(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    for number in (1, 3):
        segmenter.predict_slide(mosaic, out=tmp_path, shard=(number, 4), **SIZES)
    with pytest.raises(SettingsError, match=r"blocks are missing \(10 of 20\), those of shards: 2/4, 4/4\. Run these"):
        segmenter.predict_slide(mosaic, out=tmp_path, merge=True, **SIZES)
    assert not set(RESULTS) - {"plan.json"} & {path.name for path in tmp_path.iterdir()}


def test_a_merge_names_missing_shards_at_once_however_many_there_were_to_be(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    segmenter.predict_slide(mosaic, out=tmp_path, shard=(1, 10**18), **SIZES)
    with pytest.raises(
        SettingsError, match=r"blocks are missing \(20 of 20\), those of shards: \d+/1000000000000000000, "
    ):
        segmenter.predict_slide(mosaic, out=tmp_path, merge=True, **SIZES)


def test_a_merge_of_nothing_says_that_all_is_missing(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"blocks are missing \(20 of 20\), those of shards: all"):
        segmenter.predict_slide(mosaic, out=tmp_path, merge=True, **SIZES)


def test_a_killed_shard_goes_on_and_a_run_of_one_machine_does_what_shards_left(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_maps = SlideTasks.save_maps
    finished: list[int] = []

    def interrupted(self: SlideTasks, number: int, maps: NDArray[np.uint8]) -> None:
        if len(finished) >= 6:
            raise KeyboardInterrupt
        save_maps(self, number, maps)
        finished.append(number)

    with monkeypatch.context() as patch:
        patch.setattr(SlideTasks, "save_maps", interrupted)
        with pytest.raises(KeyboardInterrupt):
            segmenter.predict_slide(mosaic, out=tmp_path, shard=(2, 3), **SIZES)
    saved: list[int] = []
    monkeypatch.setattr(
        SlideTasks, "save_maps", lambda self, number, maps: (saved.append(number), save_maps(self, number, maps))
    )
    segmenter.predict_slide(mosaic, out=tmp_path, shard=(2, 3), **SIZES)
    assert saved
    assert not set(saved) & set(finished)
    segmenter.predict_slide(mosaic, out=tmp_path, **SIZES)
    for name in RESULTS:
        assert (tmp_path / name).read_bytes() == (alone / name).read_bytes(), name


def test_the_same_shard_twice_at_once_is_refused_and_another_is_not(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "shards").mkdir()
    with FileLock(tmp_path / "shards" / "2-of-3"):
        with pytest.raises(SettingsError, match=r"another process works at shard 2/3 in"):
            segmenter.predict_slide(mosaic, out=tmp_path, shard=(2, 3), **SIZES)
        segmenter.predict_slide(mosaic, out=tmp_path, shard=(1, 3), **SIZES)
        with pytest.raises(SettingsError, match=r"another process works at shard 2/3 in"):
            segmenter.predict_slide(mosaic, out=tmp_path, merge=True, **SIZES)


def test_a_shard_of_another_plan_is_refused(segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path) -> None:
    segmenter.predict_slide(mosaic, out=tmp_path, shard=(1, 3), **SIZES)
    with pytest.raises(SettingsError, match=r"foreground_threshold was 0\.5, now is 0\.25"):
        segmenter.predict_slide(mosaic, out=tmp_path, shard=(2, 3), threshold=0.25, **SIZES)


def test_a_shard_on_hardware_of_another_kind_is_refused(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter.predict_slide(mosaic, out=tmp_path, shard=(1, 3), **SIZES)
    identity = dataclasses.replace(segmenter.engine.identity, hardware="abacus")
    monkeypatch.setattr(segmenter.engine, "identity", identity)
    monkeypatch.setattr(segmenter.engine, "parallel", lambda: segmenter.engine)
    with pytest.raises(SettingsError, match=r"hardware was .+, now is abacus"):
        segmenter.predict_slide(mosaic, out=tmp_path, shard=(2, 3), **SIZES)


def test_shards_of_a_flat_slide_have_nothing_to_do(segmenter: Segmenter, tmp_path: Path) -> None:
    flat = np.full((70, 300), 7, np.uint8)
    segmenter.predict_slide(flat, out=tmp_path, shard=(1, 2))
    assert len(segmenter.predict_slide(flat, out=tmp_path, merge=True)) == 0


@pytest.mark.parametrize("shard", [(0, 3), (4, 3), (1, 2, 3), "1/3", (True, 2), (1.0, 2)])
def test_what_is_no_shard_is_refused_before_anything_is_written(
    segmenter: Segmenter, mosaic: NDArray[np.uint8], tmp_path: Path, shard: Any
) -> None:
    with pytest.raises(SettingsError, match="shard: expected two whole numbers like"):
        segmenter.predict_slide(mosaic, out=tmp_path / "out", shard=shard)
    with pytest.raises(SettingsError, match="give one of shard, merge and client"):
        segmenter.predict_slide(mosaic, out=tmp_path / "out", shard=(1, 3), merge=True)  # type: ignore[call-overload]
    assert not (tmp_path / "out").exists()
