"""The scale of an image is found from its nuclei."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.paths import EXAMPLES
from nucleus_unet import Segmenter
from nucleus_unet.inference import scale_search
from nucleus_unet.inference.scale_measurements import SCALES
from nucleus_unet.inference.scale_search import choose_index
from nucleus_unet.inference.search_regions import choose_regions
from nucleus_unet.io.source import read_image
from nucleus_unet.model.scale_score import TERMS, ScaleScore
from nucleus_unet.preprocessing.resample import resample
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.data import brick, grass, moon


@pytest.fixture(scope="module")
def embedded() -> Segmenter:
    return Segmenter.from_pretrained(device="cpu")


def discs(diameter: int, *, side: int = 3, colours: bool = False) -> NDArray[np.uint8]:
    """Soft discs in a square pattern, with noise."""
    step = round(1.75 * diameter)
    rows, columns = np.mgrid[: side * step, : side * step]
    distance = np.hypot(rows % step - step / 2, columns % step - step / 2)
    noise = np.random.default_rng(0).normal(0, 2, distance.shape)
    grey = np.clip(np.rint(np.clip((diameter / 2 + 1.5 - distance) / 3, 0, 1) * 180 + 12 + noise), 0, 255)
    return (255 - np.stack([grey, grey, grey // 2], -1) if colours else grey).astype(np.uint8)


@pytest.mark.parametrize("diameter", [8, 24, 60, 120, 230])
def test_nuclei_of_any_size_are_found_without_being_told(embedded: Segmenter, diameter: int) -> None:
    side = 12 if diameter < 20 else 3
    nuclei = embedded.predict(discs(diameter, side=side))
    assert len(nuclei) == side**2
    np.testing.assert_allclose(2 * np.sqrt(nuclei.table["area"] / np.pi), diameter + 2, rtol=0.25)


def test_the_scale_is_in_the_plan_and_in_one_line_of_the_log(
    embedded: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="nucleus_unet"):
        nuclei = embedded.predict(discs(120))
    assert nuclei.plan.scale < 0.5
    lines = [record.message for record in caplog.records if "pixels wide" in record.message]
    assert len(lines) == 1
    assert f"scaled by {nuclei.plan.scale:g}" in lines[0]


def doubt(monkeypatch: pytest.MonkeyPatch, expected: float) -> None:
    """Let every image whose scale is searched have an expected mSA."""
    monkeypatch.setattr(ScaleScore, "expected_msa", lambda _score, _measurements: expected)


@pytest.mark.parametrize(("expected", "lines"), [(0.123, 1), (0.5, 0)])
def test_nuclei_that_are_likely_to_be_wrong_are_called_doubtful(
    embedded: Segmenter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, expected: float, lines: int
) -> None:
    doubt(monkeypatch, expected)
    nuclei = embedded.predict(discs(24))
    assert nuclei.plan.expected_msa == round(expected, 2)
    assert [record.levelname for record in caplog.records if "doubtful" in record.message] == ["WARNING"] * lines


@pytest.mark.parametrize("picture", [brick, grass, moon])
def test_what_is_found_in_pictures_of_something_else_is_doubtful(
    embedded: Segmenter, picture: Callable[[], NDArray[np.uint8]], caplog: pytest.LogCaptureFixture
) -> None:
    found = embedded.predict(picture())
    assert ("doubtful" if len(found) else "no nuclei were found") in caplog.text


def test_a_slide_is_as_doubtful_as_the_image(
    embedded: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    doubt(monkeypatch, 0.2)
    slide = embedded.predict_slide(discs(24), out=tmp_path / "out")
    assert slide.plan.prediction.expected_msa == 0.2
    assert len([record for record in caplog.records if "doubtful" in record.message]) == 1


def test_nothing_is_expected_of_an_image_whose_size_is_told(embedded: Segmenter) -> None:
    assert embedded.predict(discs(24), diameter=24).plan.expected_msa is None


@pytest.mark.parametrize(
    ("scale", "expected"), [(0.5, 0.6), (0.34, 0.6), (0.75, 0.3), (1.5, 0.3), (0.3, None), (2, None)]
)
def test_the_estimate_of_a_scale_is_that_of_the_nearest_within_a_factor_of_one_and_a_half(
    scale: float, expected: float | None
) -> None:
    search = scale_search.ScaleSearch(0.5, estimates={0.5: 0.6, 1.0: 0.3})
    assert search.estimate_near(scale) == expected
    assert scale_search.ScaleSearch(1.0).estimate_near(1.0) is None


def test_the_diameter_overrules_what_is_found(embedded: Segmenter) -> None:
    reference = embedded.bundle.config.diameter
    assert embedded.predict(discs(120), diameter=reference).plan.scale == 1


def test_a_model_without_a_score_keeps_the_size_of_images(segmenter: Segmenter) -> None:
    assert segmenter.bundle.config.scale_score is None
    assert segmenter.predict(discs(120)).plan.scale == 1


@pytest.mark.parametrize("value", [0, 77])
def test_an_image_without_nuclei_keeps_its_size(embedded: Segmenter, value: int) -> None:
    image = np.full((100, 120), value, np.uint8)
    image[0, 0] += 1
    assert embedded.predict(image).plan.scale == 1


@pytest.mark.parametrize("options", [{}, {"tile": 512}, {"tissue": False}, {"workers": 1, "block": 200}])
def test_a_slide_has_the_scale_and_the_labels_of_the_image(
    embedded: Segmenter, tmp_path: Path, options: dict[str, Any]
) -> None:
    image = discs(120, side=4)
    whole = embedded.predict(image)
    slide = embedded.predict_slide(image, out=tmp_path / "out", **options)
    assert slide.plan.prediction.scale == whole.plan.scale < 0.5
    np.testing.assert_array_equal(tifffile.imread(slide.labels_path), whole.labels)


def test_a_large_slide_is_scaled_as_the_image_by_the_same_regions(
    embedded: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale_search, "_WHOLE_PIXELS", 600**2)
    monkeypatch.setattr(scale_search, "_REGION_SIDE", 500)
    image = np.full((1000, 1300), 12, np.uint8)
    image[400:1000, 600:1200] = discs(114)[:600, :600]
    whole = embedded.predict(image)
    square = [[500, 300], [1300, 300], [1300, 1000], [500, 1000], [500, 300]]
    roi = {"type": "Polygon", "coordinates": [square]}
    slide = embedded.predict_slide(image, out=tmp_path / "out", tile=400, roi=roi)
    assert slide.plan.prediction.scale == whole.plan.scale < 0.5
    np.testing.assert_array_equal(tifffile.imread(slide.labels_path), whole.labels)


def test_a_slide_that_is_resumed_keeps_its_scale(embedded: Segmenter, tmp_path: Path) -> None:
    image = discs(120)
    first = embedded.predict_slide(image, out=tmp_path / "out")
    again = embedded.predict_slide(image, out=tmp_path / "out")
    assert again.plan == first.plan


def test_the_pixel_size_of_stained_tissue_decides_if_the_nuclei_agree(embedded: Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "tissue.tif"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}}
    tifffile.imwrite(path, discs(20, side=8, colours=True), ome=True, **options)
    assert embedded.predict(path).plan.scale == 2


@pytest.mark.parametrize(("model", "largest_scale"), [("small", 0.35), ("embedded", 0.5)])
def test_the_pixel_size_of_stained_tissue_is_not_believed_if_the_nuclei_are_far_larger(
    model: str, largest_scale: float, tmp_path: Path
) -> None:
    path = tmp_path / "tissue.tif"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}}
    tifffile.imwrite(path, discs(130, colours=True), ome=True, **options)
    nuclei = Segmenter.from_pretrained(model, device="cpu").predict(path)
    assert nuclei.plan.scale <= largest_scale
    assert len(nuclei) == 9


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_nuclei_do_not_overrule_the_pixel_size_of_stained_tissue(
    embedded: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    path = tmp_path / "tissue.tif"
    image = np.random.default_rng(0).normal(225, 3, (300, 300, 3)).astype(np.uint8)
    for number in range(count):  # large blots
        image[100:200, 20 + 140 * number : 120 + 140 * number] = (90, 40, 130)
    options: dict[str, Any] = {"photometric": "rgb", "metadata": {"PhysicalSizeX": 0.75, "PhysicalSizeXUnit": "µm"}}
    tifffile.imwrite(path, image, ome=True, **options)
    with caplog.at_level(logging.INFO):
        assert embedded.predict(path).plan.scale == 3
    assert "the pixel size in the file is 0.75 micrometres: the image is scaled by 3" in caplog.text


def test_doubtful_nuclei_are_called_so_where_the_pixel_size_decides_against_them(
    embedded: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tissue.tif"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm"}}
    tifffile.imwrite(path, discs(130, colours=True), ome=True, **options)
    assert embedded.predict(path).plan.scale < 1
    doubt(monkeypatch, 0.2)
    plan = embedded.predict(path).plan
    assert (plan.scale, plan.expected_msa) == (1, 0.2)
    assert "doubtful" in caplog.text


@pytest.mark.parametrize("place", [(0, 0), (700, 400)])
def test_nuclei_too_small_to_be_found_are_found_in_the_enlarged_image(
    embedded: Segmenter, place: tuple[int, int]
) -> None:
    image = read_image(EXAMPLES / "images" / "fluorescence_small.png").astype(np.float32)
    tiny = np.rint(resample(image, 0.25)).astype(np.uint8)
    assert len(embedded.predict(tiny, diameter=embedded.bundle.config.diameter)) < 5
    found = embedded.predict(tiny)
    assert found.plan.scale == 2
    assert found.plan.expected_msa is not None
    assert found.plan.expected_msa > 0.3
    assert len(found) > 0.8 * len(embedded.predict(image))
    rng = np.random.default_rng(0)
    larger = rng.normal(np.median(tiny), 1, (1000, 900)).clip(0, 255).astype(np.uint8)
    part = tuple(slice(start, start + 4 * size) for start, size in zip(place, tiny.shape, strict=True))
    larger[part] = np.tile(tiny, (4, 4))
    enlarged = embedded.predict(larger)
    assert enlarged.plan.scale == 2
    assert len(enlarged) > 10 * len(found)


@pytest.mark.parametrize(("covered", "chosen"), [(0.005, 0.18), (0.05, 1.0)])
def test_specks_that_scale_1_alone_has_do_not_outweigh_nuclei_that_other_scales_agree_on(
    covered: float, chosen: float
) -> None:
    measurements = np.zeros((6, 21))
    measurements[:3, [0, 6]] = 1  # the share of the area that the neighbours have, too
    measurements[:, 14] = [0.9, 1, 0.9, 0, 0, covered]
    measurements[:, 20] = [0, 1, 0, 0, 0, 3]
    weights = np.zeros(TERMS)
    weights[21] = 1  # the score is the last measurement
    score = ScaleScore((0.0,) * 21, (1.0,) * 21, tuple(weights), (0.0,) * TERMS, 12.0)
    assert SCALES[choose_index(score, measurements, [1, 1, 1, 0, 0, 2])] == chosen


@pytest.mark.parametrize("seed", range(3))
def test_fragments_of_a_large_nucleus_do_not_enlarge_the_image(embedded: Segmenter, seed: int) -> None:
    image = discs(230, side=1)
    rng = np.random.default_rng(seed)
    for row, column in rng.integers(150, 250, (30, 2)):  # bright spots in it
        image[row : row + 4, column : column + 4] = 255
    found = embedded.predict(image)
    assert found.plan.scale < 1
    assert len(found) == 1


def test_an_image_without_nuclei_is_told(embedded: Segmenter, caplog: pytest.LogCaptureFixture) -> None:
    noise = np.random.default_rng(0).poisson(50, (200, 200)).astype(np.uint16)
    assert len(embedded.predict(noise)) == 0
    assert "no nuclei were found at scale 1: if the image has some, give their diameter" in caplog.text


def test_a_scale_that_rests_on_a_single_nucleus_is_told(embedded: Segmenter, caplog: pytest.LogCaptureFixture) -> None:
    nuclei = embedded.predict(discs(130, side=1))
    assert nuclei.plan.scale < 1
    assert "rests on 1 of its nuclei" in caplog.text


@pytest.mark.parametrize("slide", [False, True])
@pytest.mark.parametrize(("side", "offset"), [(24, 100), (40, 100), (40, 1_000_000)])
def test_nuclei_that_bright_dirt_hides_are_told_with_the_value_at_which_to_clip(
    embedded: Segmenter, tmp_path: Path, caplog: pytest.LogCaptureFixture, side: int, offset: int, slide: bool
) -> None:
    dirty = discs(24, side=8).astype(np.uint32) + offset
    dirty[:side, :side] = offset + 60_000
    with caplog.at_level(logging.WARNING, logger="nucleus_unet"):
        found = len(embedded.predict_slide(dirty, out=tmp_path) if slide else embedded.predict(dirty))
    (warning,) = [record.message for record in caplog.records if "hide darker nuclei" in record.message]
    numbers = re.search(r"sees (\d+), and (\d+) with the pixels above (\S+) clipped", warning)
    assert numbers is not None
    assert int(numbers[1]) == found < 8
    assert int(numbers[2]) >= 60
    assert len(embedded.predict(np.minimum(dirty, float(numbers[3])))) >= 60


@pytest.mark.parametrize("blur", [0, 2, 4, 8])
@pytest.mark.parametrize("number", [1, 3, 6])
def test_few_bright_nuclei_hide_nothing(
    embedded: Segmenter, caplog: pytest.LogCaptureFixture, blur: float, number: int
) -> None:
    noise = gaussian_filter(np.random.default_rng(0).normal(0, 1, (512, 512)), blur)
    sparse = 100 + 10 * noise / noise.std()
    for place in range(60, 60 + 60 * number, 60):
        sparse[place : place + 42, place : place + 42] += 3.0 * discs(24, side=1)
    with caplog.at_level(logging.WARNING, logger="nucleus_unet"):
        assert len(embedded.predict(sparse.astype(np.uint16))) == number
    assert "hide" not in caplog.text


def test_dirt_in_planes_of_a_stack_gives_no_line_for_each(
    embedded: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    dirty = discs(24, side=8).astype(np.uint16) + 100
    dirty[:40, :40] = 60_000
    with caplog.at_level(logging.WARNING, logger="nucleus_unet"):
        embedded.predict(np.stack([dirty] * 3), axes="TYX", time="all")
    assert "hide" not in caplog.text


def test_an_image_whose_nuclei_are_all_dropped_has_no_expected_accuracy(
    embedded: Segmenter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    image = discs(24)
    assert embedded.predict(image).plan.expected_msa is not None
    doubt(monkeypatch, 0.2)
    nothing = embedded.predict(image, min_area=10_000)
    assert (len(nothing), nothing.plan.expected_msa) == (0, None)
    assert "doubtful" not in caplog.text


def test_a_share_of_the_median_area_drops_fragments_of_images_and_slides(embedded: Segmenter, tmp_path: Path) -> None:
    image = discs(60, side=4)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    for row in (105, 210):
        speck = np.hypot(rows - row, columns - 105) < 12
        image[speck] = 190
    every = embedded.predict(image)
    whole = embedded.predict(image, min_area=0.3)
    assert len(every) == 18
    assert len(whole) == 16
    slide = embedded.predict_slide(image, out=tmp_path / "out", min_area=0.3)
    np.testing.assert_array_equal(tifffile.imread(slide.labels_path), whole.labels)


def test_blots_that_one_scale_alone_takes_for_nuclei_do_not_decide(embedded: Segmenter) -> None:
    light = np.rint(gaussian_filter(np.random.default_rng(0).random((600, 600)), 120) * 1e5)
    nuclei = embedded.predict(light, min_area=0.2)
    assert len(nuclei) == 0
    assert nuclei.plan.scale == 1


@pytest.mark.parametrize("corner", [(0, 0), (810, 810), (1100, 2300), (2780, 1500)])
def test_a_small_cluster_anywhere_in_a_large_image_is_seen(corner: tuple[int, int]) -> None:
    image = np.random.default_rng(0).poisson(3, (3400, 3400)).astype(np.float32) / 255
    cluster = tuple(slice(start, start + 620) for start in corner)
    image[cluster] += np.random.default_rng(1).random((620, 620), np.float32) > 0.5
    regions = choose_regions(lambda *part: image[part], (3400, 3400), whole=2304**2, side=1024)
    seen = np.zeros((3400, 3400), bool)
    for region in regions:
        seen[region] = True
    assert seen[cluster].mean() > 0.5


def test_regions_of_a_large_image_show_what_has_contrast() -> None:
    image = np.zeros((5000, 6000), np.float32)
    image[3000:4500, 3500:5500] = np.random.default_rng(0).random((1500, 2000), np.float32)
    regions = choose_regions(lambda *part: image[part], (5000, 6000), whole=2304**2, side=1024)
    assert len(regions) == 3
    for rows, columns in regions:
        assert image[rows, columns].mean() > 0.1
