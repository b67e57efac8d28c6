"""By how much an image is magnified when its file tells how large its pixels are."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from nucleus_unet import Segmenter
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def told(path: Path, image: NDArray[np.generic], mpp: float) -> Path:
    """Write an OME-TIFF that tells its pixel size."""
    facts = {"axes": "YXS" if image.ndim == 3 else "YX"}
    facts |= {"PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm"}  # type: ignore[dict-item]
    tifffile.imwrite(path, image, ome=True, metadata=facts, photometric="rgb" if image.ndim == 3 else "minisblack")
    return path


@pytest.fixture
def segmenter(segmenter: Segmenter) -> Segmenter:
    """The tiny one, as if its pixel size had been measured."""
    bundle = segmenter.bundle
    known = replace(bundle, config=replace(bundle.config, mpp_known=True))
    return Segmenter(known, device="cpu", precision="float32")


@pytest.fixture
def stained(discs: Image) -> Image:
    """Dark discs on light ground."""
    return 255 - np.repeat(discs[..., None], 3, axis=-1)


def test_a_model_that_does_not_know_its_pixel_size_takes_images_as_they_are(
    tiny_bundle: Path, stained: Image, tmp_path: Path
) -> None:
    segmenter = Segmenter.from_pretrained(tiny_bundle, device="cpu")
    assert segmenter.predict(told(tmp_path / "image.ome.tif", stained, 0.5)).plan.scale == 1


def test_the_embedded_model_knows_its_pixel_size() -> None:
    assert Segmenter.from_pretrained(device="cpu").bundle.config.mpp_known


@pytest.mark.parametrize("kind", ["fluorescence in colours", "16 bit"])
def test_colours_that_no_lamp_shone_through_are_taken_as_they_are(
    segmenter: Segmenter, stained: Image, tmp_path: Path, kind: str
) -> None:
    image = 255 - stained if kind != "16 bit" else stained.astype(np.uint16) * 256
    assert segmenter.predict(told(tmp_path / "image.ome.tif", image, 0.5)).plan.scale == 1


def test_a_slide_that_is_black_where_nothing_was_scanned_is_stained(
    segmenter: Segmenter, stained: Image, tmp_path: Path
) -> None:
    image = np.zeros((200, 131, 3), np.uint8)
    image[:100] = stained
    assert segmenter.predict(told(tmp_path / "image.ome.tif", image, 0.5)).plan.scale == 2


@pytest.mark.parametrize(
    ("mpp", "scale"), [(0.4992, 2.0), (0.23, 1.0), (0.3, 1.0), (0.33, 1.3), (0.17, 0.7), (0.1, 0.4), (0.99, 4.0)]
)
def test_stained_tissue_is_brought_to_the_models_scale(
    segmenter: Segmenter, stained: Image, tmp_path: Path, mpp: float, scale: float
) -> None:
    found = segmenter.predict(told(tmp_path / "image.ome.tif", stained, mpp))
    assert found.plan.scale == scale
    asked = segmenter.predict(stained, mpp=scale * segmenter.bundle.config.mpp)
    np.testing.assert_array_equal(found.labels, asked.labels)


def test_a_slide_is_magnified_as_an_image_is(segmenter: Segmenter, stained: Image, tmp_path: Path) -> None:
    path = told(tmp_path / "image.ome.tif", stained, 0.5)
    slide = segmenter.predict_slide(path, out=tmp_path / "out", tissue=False)
    assert (slide.plan.prediction.scale, slide.plan.mpp) == (2.0, 0.5)
    np.testing.assert_array_equal(tifffile.imread(slide.labels_path), segmenter.predict(path).labels)


def test_grey_images_are_taken_as_they_are(segmenter: Segmenter, discs: Image, tmp_path: Path) -> None:
    assert segmenter.predict(told(tmp_path / "image.ome.tif", discs, 0.5)).plan.scale == 1


def test_one_channel_of_an_image_in_colours_is_grey(segmenter: Segmenter, stained: Image, tmp_path: Path) -> None:
    assert segmenter.predict(told(tmp_path / "image.ome.tif", stained, 0.5), channel=1).plan.scale == 1


@pytest.mark.parametrize(("option", "scale"), [({"diameter": 32.0}, 0.5), ({"mpp": 0.25}, 1.0), ({"mpp": 0.75}, 3.0)])
def test_what_is_asked_for_is_done_whatever_the_file_tells(
    segmenter: Segmenter, stained: Image, tmp_path: Path, option: dict[str, float], scale: float
) -> None:
    path = told(tmp_path / "image.ome.tif", stained, 0.5)
    assert segmenter.predict(path, **option).plan.scale == scale  # type: ignore[arg-type]


@pytest.mark.parametrize("mpp", [0.05, 1.0, 2.0, 21.0])
def test_a_size_at_which_no_nucleus_can_be_told_is_not_believed(
    segmenter: Segmenter, stained: Image, tmp_path: Path, caplog: pytest.LogCaptureFixture, mpp: float
) -> None:
    with caplog.at_level(logging.WARNING):
        assert segmenter.predict(told(tmp_path / "image.ome.tif", stained, mpp)).plan.scale == 1
    assert "give --mpp or --diameter (mpp= or diameter= in Python)" in caplog.text
