"""One slide on a dask cluster: the files of one machine, to the byte, and a worker that dies loses nothing."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from distributed import Client
from helpers.images import draw_discs
from helpers.slides import RESULTS
from nucleus_unet.errors import ImageError, MissingExtraError, SettingsError
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.executors.dask import connect

SIZES: Any = {"tile": 136, "block": 64}


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Discs in 230 x 250 pixels, as a file."""
    path = tmp_path_factory.mktemp("slides") / "slide.tif"
    places = np.random.default_rng(3).integers(0, 250, (70, 2))
    pixels = draw_discs((230, 250), [(int(row), int(column), 6) for row, column in places])
    tifffile.imwrite(path, pixels, tile=(64, 64), compression="zlib")
    return path


@pytest.fixture(scope="module")
def alone(segmenter: Segmenter, slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one machine leaves of the slide."""
    folder = tmp_path_factory.mktemp("alone")
    assert len(segmenter.predict_slide(slide, out=folder)) > 30
    return folder


def assert_same_files(folder: Path, expected: Path) -> None:
    for name in RESULTS:
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name
    assert not (folder / "work").exists()


def kill_when(folder: Path, client: Client, files: int) -> int:
    """Kill one worker as soon as there are so many maps; return its process."""
    process = int(next(iter(client.run(os.getpid).values())))
    for _ in range(6000):
        if len(list(folder.glob("work/maps-*/[0-9]*"))) >= files:
            os.kill(process, signal.SIGKILL)
            return process
        time.sleep(0.01)
    raise AssertionError("no maps were ever written")


def test_a_worker_that_is_killed_loses_nothing(
    segmenter: Segmenter, client: Client, slide: Path, alone: Path, tmp_path: Path
) -> None:
    killed: list[int] = []
    killer = threading.Thread(target=lambda: killed.append(kill_when(tmp_path, client, 4)))
    killer.start()
    segmenter.predict_slide(slide, out=tmp_path, client=client, **SIZES)
    killer.join()
    assert killed
    assert_same_files(tmp_path, alone)


def test_a_cluster_goes_on_where_a_shard_ended(
    segmenter: Segmenter, client: Client, slide: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter.predict_slide(slide, out=tmp_path, shard=(2, 3), **SIZES)
    done = {int(path.name) for path in (tmp_path / "work" / "nuclei-64-136").iterdir()}
    submit, blocks = client.submit, []

    def watched(task: Any, folder: str, key: str, number: int, **options: Any) -> Any:
        if task.__name__ == "group_block":
            blocks.append(number)
        return submit(task, folder, key, number, **options)

    monkeypatch.setattr(client, "submit", watched)
    segmenter.predict_slide(slide, out=tmp_path, client=client, **SIZES)
    assert done
    assert sorted(blocks) == sorted(set(range(20)) - done)
    assert_same_files(tmp_path, alone)


def test_workers_keep_to_the_regions_the_scale_and_the_settings(
    segmenter: Segmenter, client: Client, slide: Path, tmp_path: Path
) -> None:
    half = {"type": "Polygon", "coordinates": [[[0, 0], [90.5, 0], [120, 200], [0, 100], [0, 0]]]}
    options: Any = {"roi": half, "diameter": 20, "min_area": 30, "augment": True, "channel_axis": None}
    result = segmenter.predict_slide(slide, out=tmp_path / "here", **options, **SIZES)
    segmenter.predict_slide(slide, out=tmp_path / "there", client=client, **options, **SIZES)
    assert 0 < len(result) < 30
    assert_same_files(tmp_path / "there", tmp_path / "here")


def test_what_a_worker_cannot_do_is_said_here(
    segmenter: Segmenter, client: Client, slide: Path, tmp_path: Path
) -> None:
    content = bytearray(slide.read_bytes())
    with tifffile.TiffFile(slide) as file:
        offset = file.pages.first.dataoffsets[3]
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(content)
    segmenter.predict_slide(damaged, out=tmp_path / "out", shard=(1, 9), **SIZES)
    facts = damaged.stat()
    content[offset : offset + 20] = bytes(20)
    damaged.write_bytes(content)
    os.utime(damaged, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(ImageError, match=r"damaged.tif: tile or strip 3 .* is damaged"):
        segmenter.predict_slide(damaged, out=tmp_path / "out", client=client, **SIZES)


def test_workers_of_another_kind_are_refused(
    segmenter: Segmenter, client: Client, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = dataclasses.replace(segmenter.engine.identity, hardware="abacus")
    monkeypatch.setattr(segmenter.engine, "identity", identity)
    monkeypatch.setattr(segmenter.engine, "parallel", lambda: segmenter.engine)
    with pytest.raises(
        SettingsError, match=r"a worker has openvino .+ on .+, the plan has .+ on abacus .+ tiles would"
    ):
        segmenter.predict_slide(slide, out=tmp_path, client=client, **SIZES)


def test_an_array_is_refused_as_workers_could_not_open_it(segmenter: Segmenter, client: Client, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="client: expected the path of a slide, which workers open, got ndarray"):
        segmenter.predict_slide(np.zeros((50, 50), np.uint8), out=tmp_path / "out", client=client)
    assert not (tmp_path / "out").exists()


def test_without_its_extra_a_cluster_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[dask\]'"):
        connect("tcp://127.0.0.1:1")


def test_what_is_no_address_of_a_scheduler_is_refused() -> None:
    with pytest.raises(SettingsError, match="scheduler: expected an address like tcp://host:8786, got 'cluster'"):
        connect("cluster")
