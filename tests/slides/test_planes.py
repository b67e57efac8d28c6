"""Slides of several channels and planes: equal to `predict`, region by region."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from helpers.stacks import draw_stack, write_hyperstack
from nucleus_unet import Segmenter

if TYPE_CHECKING:
    from distributed import Client

STACK = np.tile(draw_stack(times=2), (1, 1, 1, 4, 5))


@pytest.mark.parametrize(
    "chosen",
    [
        {"z": "focus", "channel": [0, 1]},
        {"z": "mean", "channel": ["DAPI", "GFP"], "combine": "max"},
        {"z": "max", "channel": "GFP"},
        {"z": 2, "channel": [1, 0]},
    ],
)
def test_a_slide_has_the_labels_of_predict(segmenter: Segmenter, tmp_path: Path, chosen: dict[str, Any]) -> None:
    path = write_hyperstack(tmp_path / "cells.tif", STACK, "OME")
    options = {**chosen, "time": 1, "scene": 0}
    slide = segmenter.predict_slide(path, out=tmp_path / "out", tissue=False, block=64, tile=96, **options)
    labels = segmenter.predict(path, **options).labels
    assert labels.max() >= 20
    np.testing.assert_array_equal(tifffile.imread(slide.labels_path), labels)


def test_another_plane_is_not_taken_for_the_same_slide(segmenter: Segmenter, tmp_path: Path) -> None:
    path = write_hyperstack(tmp_path / "cells.tif", STACK, "OME")
    counts = []
    for time in (0, 1):
        out = tmp_path / str(time)
        counts.append(segmenter.predict_slide(path, out=out, time=time, z=0, channel=0).plan.pixels)
    assert counts[0] != counts[1]


def test_workers_of_a_cluster_open_the_same_plane(client: Client, tiny_bundle: Path, tmp_path: Path) -> None:
    segmenter = Segmenter.from_pretrained(tiny_bundle, device="cpu", precision="float32")
    path = write_hyperstack(tmp_path / "cells.tif", STACK, "OME")
    options: dict[str, Any] = {"time": 1, "z": "max", "channel": ["DAPI", "GFP"]}
    slide = segmenter.predict_slide(path, out=tmp_path / "out", client=client, tissue=False, block=64, **options)
    np.testing.assert_array_equal(tifffile.imread(slide.labels_path), segmenter.predict(path, **options).labels)
