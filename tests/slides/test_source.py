from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from nucleus_unet.errors import DataError
from nucleus_unet.io.selection import Selection
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.source import SOURCE, SlideSource
from numpy.typing import NDArray


def test_the_results_of_a_file_name_it_and_its_plane(
    tmp_path: Path, segmenter: Segmenter, discs: NDArray[np.uint8]
) -> None:
    path = tmp_path / "größe.tif"
    tifffile.imwrite(path, np.stack([discs, discs]))
    segmenter.predict_slide(path, out=tmp_path / "out", axes="CYX", channel=1, mpp=0.5)
    expected = SlideSource(str(path), Selection(channel=1), axes="CYX")
    assert SlideSource.read(tmp_path / "out") == expected


def test_a_finished_run_that_is_repeated_names_its_file_again(
    tmp_path: Path, segmenter: Segmenter, discs: NDArray[np.uint8]
) -> None:
    np.save(tmp_path / "slide.npy", discs)
    segmenter.predict_slide(tmp_path / "slide.npy", out=tmp_path / "out", mpp=0.5)
    (tmp_path / "out" / SOURCE).unlink()
    segmenter.predict_slide(tmp_path / "slide.npy", out=tmp_path / "out", mpp=0.5)
    assert (tmp_path / "out" / SOURCE).exists()


def test_an_array_has_no_name(tmp_path: Path, segmenter: Segmenter, discs: NDArray[np.uint8]) -> None:
    segmenter.predict_slide(discs, out=tmp_path / "out", mpp=0.5)
    assert SlideSource.read(tmp_path / "out") is None


def test_a_damaged_name_is_told(tmp_path: Path) -> None:
    (tmp_path / SOURCE).write_text("{}")
    with pytest.raises(DataError, match=SOURCE):
        SlideSource.read(tmp_path)
