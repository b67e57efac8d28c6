"""DAB stain of immunohistochemistry: detection and attenuation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.errors import SettingsError
from nucleus_unet.preprocessing.dab import Stains, attenuate_dab, dab_attenuated_range, detect_dab, sampling_step
from nucleus_unet.preprocessing.levels import Levels, measure_levels
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.preprocessing.resample import resample
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.grid import lay_blocks
from nucleus_unet.slides.survey.stain_sample import StainSampler
from numpy.typing import NDArray
from skimage.color import hed2rgb
from skimage.data import immunohistochemistry
from skimage.segmentation import expand_labels

WHOLE = Levels(IntensityRange(0, 255), None)


def dyed(haematoxylin: float, eosin: float, dab: float) -> NDArray[np.uint8]:
    """Colour of a dye mixture, as scikit-image mixes it."""
    colour = hed2rgb(np.full((1, 1, 3), (haematoxylin, eosin, dab)))
    return np.broadcast_to(np.rint(colour * 255).astype(np.uint8), (20, 20, 3)).copy()


COLOURS = [(1, 0, 0), (1, 0.5, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)]


def fluorescence(colour: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Nuclei that shine in one colour on a dark ground with some noise."""
    rows, columns = np.ogrid[:60, :60]
    light = np.where((rows % 20 - 10) ** 2 + (columns % 20 - 10) ** 2 < 30, 180, 6)
    light = light + np.random.default_rng(0).integers(0, 20, light.shape)
    return np.rint(light[..., None] * np.array(colour)).astype(np.uint8)


def attenuated(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return 255 * attenuate_dab(image.astype(np.float32) / 255).astype(np.float64)


@pytest.mark.parametrize(("haematoxylin", "dab"), [(0.0, 0.1), (0.03, 0.1), (0.05, 0.05), (0.1, 0.08)])
def test_four_fifths_of_the_brown_are_taken_away_and_the_blue_stays(haematoxylin: float, dab: float) -> None:
    np.testing.assert_allclose(attenuated(dyed(haematoxylin, 0, dab)), dyed(haematoxylin, 0, dab / 5), atol=5)


@pytest.mark.parametrize("image", [dyed(0.1, 0, 0), dyed(0, 0.1, 0), dyed(0.04, 0.06, 0), dyed(0, 0, 0)])
def test_what_holds_no_brown_stays_as_it_is(image: NDArray[np.uint8]) -> None:
    np.testing.assert_allclose(attenuated(image), image, atol=3)


def test_immunohistochemistry_is_brown() -> None:
    image = immunohistochemistry()
    step = sampling_step(image.shape)
    assert detect_dab(image[::step, ::step], measure_levels(image)).is_dab


@pytest.mark.parametrize("side", [20, 50])
def test_black_around_the_tissue_changes_nothing(side: int) -> None:
    tissue = immunohistochemistry()[:300, :300]
    assert detect_dab(np.pad(tissue, ((0, side), (0, side), (0, 0))), WHOLE).is_dab
    assert not detect_dab(np.pad(dyed(0.05, 0.05, 0), ((0, side // 20), (0, 0), (0, 0))), WHOLE).is_dab


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.full((20, 20, 3), 255, np.uint8), id="glass"),
        pytest.param(dyed(0.05, 0.05, 0), id="haematoxylin and eosin"),
        pytest.param(np.zeros((20, 20, 3), np.uint8), id="black"),
        *(pytest.param(fluorescence(colour), id=f"fluorescence {colour}") for colour in COLOURS),
        pytest.param(np.zeros((0, 20, 3), np.uint8), id="nothing"),
    ],
)
def test_other_pictures_are_not(image: NDArray[np.uint8]) -> None:
    assert not detect_dab(image, WHOLE).is_dab


@pytest.mark.parametrize("tint", [(1, 0.97, 0.9), (1, 0.93, 0.8), (1, 0.9, 0.7)])
def test_warm_light_is_no_brown(tint: tuple[float, float, float]) -> None:
    pink = np.concatenate([dyed(0.05, 0.05, 0), dyed(0, 0.05, 0), np.full((20, 20, 3), 255, np.uint8)])
    tissue = immunohistochemistry()[::2, ::2]
    for image, brown in ((pink, False), (tissue, True)):
        warm = np.rint(image * np.array(tint)).astype(np.uint8)
        assert detect_dab(warm, measure_levels(warm)).is_dab is brown


def test_noise_of_nearly_empty_glass_is_no_brown() -> None:
    light = np.random.default_rng(0).normal((242, 240, 232), 3, (200, 200, 3))
    glass = np.rint(light).clip(0, 255).astype(np.uint8)
    assert not detect_dab(glass, measure_levels(glass)).is_dab


def test_how_bright_the_light_is_does_not_matter() -> None:
    tissue = immunohistochemistry()[::2, ::2]
    shifted = tissue.astype(np.float32) / 127.5 - 1
    standardised = (tissue - tissue.mean()) / tissue.std()
    for image in (tissue // 3, tissue.astype(np.uint16) * 100, tissue.astype(np.float32) / 255, shifted, standardised):
        assert detect_dab(image, measure_levels(image)).is_dab


def test_light_without_one_colour_is_not_that_of_a_lamp() -> None:
    image = np.random.default_rng(0).integers(60, 256, (60, 60, 3)).astype(np.uint8)
    image[..., 2] = 0
    assert not detect_dab(image, WHOLE).is_dab


def test_a_binary_image_in_colours_is_treated_like_any_other() -> None:
    image = np.random.default_rng(0).random((40, 40, 3)) < 0.9
    as_bytes = image.astype(np.uint8) * 255
    assert detect_dab(image, Levels(IntensityRange(0, 1), None)) == detect_dab(as_bytes, WHOLE)


def test_grey_and_flat_images_have_no_dye() -> None:
    nothing = Stains(is_dab=False, attenuated_range=None)
    assert detect_dab(np.full((20, 20), 30, np.uint8), WHOLE) == nothing
    assert detect_dab(dyed(0, 0, 0.1), Levels(None, None)) == nothing
    assert nothing.range_for(True) is None


@pytest.mark.parametrize("dab", [None, False, True])
@pytest.mark.parametrize("image", [immunohistochemistry(), dyed(0.05, 0.05, 0), np.full((20, 20), 30, np.uint8)])
def test_an_image_and_a_slide_of_it_are_seen_alike(image: NDArray[np.uint8], dab: bool | None) -> None:
    for levels in (WHOLE, Levels(None, None)):
        assert dab_attenuated_range(image, levels, dab) == detect_dab(image, levels).range_for(dab)


def test_who_asks_decides_and_else_the_colours_do() -> None:
    levels = IntensityRange(0.25, 1.0)
    for brown in (False, True):
        stains = Stains(brown, levels)
        assert stains.range_for(True) == levels
        assert stains.range_for(False) is None
        assert (stains.range_for(None) == levels) is brown


@given(st.integers(1, 900), st.integers(1, 900), st.integers(50, 500), st.sampled_from([None, 3]))
def test_a_slide_seen_in_regions_gives_the_pixels_of_the_whole(
    height: int, width: int, side: int, channels: int | None
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels or 1), np.uint8)
    whole = pixels if channels else pixels[..., 0]
    view = StainSampler((height, width), channels, whole.dtype)
    for region in lay_blocks((height, width), side):
        view.add(region, view.sample(region, whole[region]))
    step = sampling_step((height, width))
    assert view.detect(WHOLE) == detect_dab(whole[::step, ::step], WHOLE)
    assert np.array_equal(view._sample, whole[::step, ::step])


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.from_pretrained()


def test_nuclei_are_found_under_brown_and_they_are_bluer_than_what_surrounds_them(segmenter: Segmenter) -> None:
    image = immunohistochemistry()
    without, found = segmenter.predict(image, dab=False), segmenter.predict(image)
    assert found.plan.dab is not None
    assert len(found) > 1.5 * len(without)
    blueness = image[..., 2].astype(float) - image[..., 0]
    around = expand_labels(found.labels, 4)
    around[found.labels > 0] = 0

    def means(labels: NDArray[Any]) -> NDArray[np.float64]:
        total = np.bincount(labels.ravel(), blueness.ravel(), minlength=len(found) + 1)
        return total[1:] / np.maximum(np.bincount(labels.ravel(), minlength=len(found) + 1)[1:], 1)

    assert np.mean(means(found.labels) > means(around)) > 0.95


@pytest.mark.parametrize(("magnification", "scale"), [(2, 0.5), (3, 0.35)])
def test_nuclei_of_any_size_are_found_under_brown(segmenter: Segmenter, magnification: int, scale: float) -> None:
    image = immunohistochemistry()
    enlarged = resample(image.astype(np.float32) / 255, magnification)
    own, found = segmenter.predict(image), segmenter.predict(np.rint(255 * enlarged).astype(np.uint8))
    assert found.plan.dab is not None
    assert found.plan.scale == scale
    ratio = np.median(found.table["area"]) / np.median(own.table["area"])
    assert ratio == pytest.approx(magnification**2, rel=0.25)


@pytest.mark.parametrize("side", [64, 128])
def test_a_picture_of_one_brown_has_no_nuclei(
    segmenter: Segmenter, tmp_path: Path, side: int, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("pyarrow")
    image = np.full((side, side, 3), (120, 70, 30), np.uint8)
    found = segmenter.predict(image)
    slide = segmenter.predict_slide(image, out=tmp_path / "out", tissue=False)
    assert (len(found), len(slide)) == (0, 0)
    assert found.plan.intensity_range is slide.plan.prediction.intensity_range is None
    assert caplog.text.count("all pixels are equal") == 2


@pytest.mark.parametrize("value", [0, 255])
def test_padding_around_dark_tissue_changes_little(segmenter: Segmenter, value: int) -> None:
    tissue = immunohistochemistry()[:300, :300]
    padded = np.pad(tissue, ((64, 64), (64, 64), (0, 0)), constant_values=value)
    own, found = segmenter.predict(tissue), segmenter.predict(padded)
    assert found.plan.padding is not None
    assert found.plan.dab is not None
    assert len(found) == pytest.approx(len(own), rel=0.1)
    assert not found.labels[:64].any()


@pytest.mark.parametrize("dab", ["no", 2, []])
def test_only_true_false_and_none_decide(segmenter: Segmenter, dab: Any) -> None:
    with pytest.raises(SettingsError, match="dab: expected True or False, got"):
        segmenter.predict(dyed(0.05, 0.05, 0), dab=dab)


def test_the_plan_contains_whether_dab_was_attenuated(segmenter: Segmenter) -> None:
    stained = np.tile(dyed(0.05, 0.05, 0), (4, 4, 1))
    stained[:40] = 255
    assert segmenter.predict(stained).plan.dab is None
    assert segmenter.predict(stained, dab=True).plan.dab is not None
    assert segmenter.predict(stained[..., 0], dab=True).plan.dab is None


def test_a_slide_of_dark_tissue_in_padding_gives_what_predict_gives(segmenter: Segmenter, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("pyarrow")
    image = np.pad(immunohistochemistry()[:300, :300], ((64, 64), (64, 64), (0, 0)))
    result = segmenter.predict_slide(image, out=tmp_path / "out", tile=304, block=90)
    expected = segmenter.predict(image)
    assert result.plan.prediction.padding == expected.plan.padding
    assert np.array_equal(tifffile.imread(result.labels_path), expected.labels)


@pytest.mark.parametrize("options", [{}, {"augment": True}, {"diameter": 30}])
def test_a_slide_gives_what_predict_gives(segmenter: Segmenter, tmp_path: Path, options: Any) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("pyarrow")
    image = immunohistochemistry()[:260, :330]
    result = segmenter.predict_slide(image, out=tmp_path / "out", tile=304, block=90, tissue=False, **options)
    expected = segmenter.predict(image, **options)
    assert expected.plan.dab is not None
    assert np.array_equal(tifffile.imread(result.labels_path), expected.labels)


def test_a_slide_and_an_image_of_large_nuclei_under_brown_have_the_same_scale(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("pyarrow")
    rows, columns = np.mgrid[:630, :630]
    inside = np.hypot(rows % 210 - 105, columns % 210 - 105) < 60
    image = np.where(inside[..., None], dyed(0.12, 0, 0)[0, 0], dyed(0, 0, 0.08)[0, 0])
    result = segmenter.predict_slide(image, out=tmp_path / "out", tile=304, block=90, tissue=False, dab=True)
    expected = segmenter.predict(image, dab=True)
    assert expected.plan.dab is not None
    assert (len(expected), expected.plan.scale) == (9, result.plan.prediction.scale)
    assert expected.plan.scale < 1
    assert np.array_equal(tifffile.imread(result.labels_path), expected.labels)


def test_a_slide_resumes_only_with_the_same_dab_attenuation(segmenter: Segmenter, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    image = immunohistochemistry()[:100, :100]
    segmenter.predict_slide(image, out=tmp_path / "out")
    segmenter.predict_slide(image, out=tmp_path / "out", dab=True)
    with pytest.raises(SettingsError, match=r"dab was \[0\.\d+, 1\.0\], now is None"):
        segmenter.predict_slide(image, out=tmp_path / "out", dab=False)
