"""Padding, constant ground outside of what was recorded, is no data; ground of one value in the picture is."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers.images import count_found, draw_nuclei
from helpers.paths import EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from nucleus_unet.data.dataset import read_examples
from nucleus_unet.io.source import open_image, read_image
from nucleus_unet.preprocessing.dab import dab_attenuated_range
from nucleus_unet.preprocessing.levels import Levels, measure_levels, normalise_image
from nucleus_unet.preprocessing.normalisation import normalise, percentile_range
from nucleus_unet.preprocessing.padding import PaddingFinder
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.plan import survey_slide
from numpy.typing import NDArray
from scipy import ndimage

NUCLEI, LABELS = draw_nuclei()
NOISE = np.random.default_rng(1).normal(0, 1, (*NUCLEI.shape, 3))
DARK = np.clip(12 + 180 * NUCLEI + 3 * NOISE[..., 0], 0, 255).astype(np.uint8)
OFFSET = np.clip(300 + 4000 * NUCLEI + 40 * NOISE[..., 0], 0, 65535).astype(np.uint16)
BRIGHT = np.clip([235, 225, 238] - NUCLEI[..., None] * [145, 165, 108] + 3 * NOISE, 0, 255).astype(np.uint8)
FLOATS = (OFFSET / 65535).astype(np.float32)
PICTURES = {"dark": DARK, "camera offset": OFFSET, "bright": BRIGHT, "floating point": FLOATS}


@pytest.fixture(scope="module")
def embedded() -> Segmenter:
    return Segmenter.from_pretrained(device="cpu")


def beside(image: NDArray[Any], value: Any, *, above: int = 200, right: int = 200) -> NDArray[Any]:
    """Put an image into the lower left corner of a larger one."""
    padded = np.full((image.shape[0] + above, image.shape[1] + right, *image.shape[2:]), value, image.dtype)
    padded[above:, : image.shape[1]] = image
    return padded


def turned(image: NDArray[Any], value: float, order: int = 1) -> NDArray[Any]:
    """Rotate an image by 20 degrees into a larger one."""
    rotated: NDArray[Any] = ndimage.rotate(image, 20, order=order, cval=value)
    return rotated


PADDED = [
    pytest.param("dark", 255, False, id="white beside fluorescence"),
    pytest.param("camera offset", 65535, False, id="65535 beside fluorescence"),
    pytest.param("camera offset", 40000, False, id="a value far above fluorescence"),
    pytest.param("floating point", 1.0, False, id="1 beside floating-point fluorescence"),
    pytest.param("floating point", -1.0, False, id="-1 beside floating-point fluorescence"),
    pytest.param("bright", 0, True, id="black beside bright ground"),
    pytest.param("bright", 255, True, id="white beside bright ground"),
]


@pytest.mark.parametrize(("name", "value", "is_bright"), PADDED)
@pytest.mark.parametrize("place", [beside, partial(turned, order=0)])
def test_padding_is_not_in_the_levels(name: str, value: float, is_bright: bool, place: Any) -> None:
    image = PICTURES[name]
    alone, levels = measure_levels(image), measure_levels(place(image, value))
    assert alone.padding is None
    assert levels.padding is not None
    assert levels.padding.values == ((float(value),) * (3 if name == "bright" else 1),)
    assert levels.padding.is_bright == is_bright
    assert alone.intensity_range is not None
    near = 0.03 * (alone.intensity_range.high - alone.intensity_range.low)
    np.testing.assert_allclose(levels.intensity_range, alone.intensity_range, atol=near)


@pytest.mark.parametrize(("name", "value", "is_bright"), PADDED)
@pytest.mark.parametrize("place", [beside, turned])
def test_nuclei_are_found_beside_padding_and_none_in_it(
    embedded: Segmenter, name: str, value: float, is_bright: bool, place: Any
) -> None:
    truth = beside(LABELS, 0) if place is beside else turned(LABELS, 0, order=0)
    found = embedded.predict(place(PICTURES[name], value))
    assert found.plan.padding is not None
    assert found.plan.padding["is_bright"] is is_bright
    assert count_found(found.labels, truth) == LABELS.max() == len(found)
    outside = place(np.ones(LABELS.shape, np.float32), 0) == 0
    assert not found.labels[outside].any()


def vignette(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows, columns = (np.linspace(-1.4, 1.4, size) for size in image.shape)
    return np.rint(image * np.clip(1 - (rows[:, None] ** 2 + columns**2) ** 2 / 2, 0, 1)).astype(np.uint8)


def discs(radius: int, value: int = 200, ground: int = 0) -> NDArray[np.uint8]:
    """Sharp discs in rows, some of them cut by the border."""
    rows, columns = np.ogrid[:600, :600]
    step = 3 * radius
    inside = (rows % step - radius) ** 2 + (columns % step - radius) ** 2 < radius**2
    image = np.where(inside & (rows < 400), value, ground)
    return (image + np.random.default_rng(0).integers(0, 9, image.shape) * (image == value)).astype(np.uint8)


NOT_PADDED = {
    "soft nuclei on ground of exactly 0": np.rint(200 * NUCLEI).astype(np.uint8),
    "soft nuclei on ground of exactly 0, far apart": np.rint(200 * draw_nuclei((900, 900), 12)[0]).astype(np.uint8),
    "nuclei after a threshold": np.where(NUCLEI > 0.4, DARK, 0).astype(np.uint8),
    "sharp nuclei on ground of exactly 0": discs(10),
    "larger sharp nuclei": discs(30),
    "much larger sharp nuclei": discs(60),
    "dark nuclei on saturated ground": discs(20, value=90, ground=255),
    "a saturated ground with soft nuclei": np.clip(300 - 250 * NUCLEI, 0, 255).astype(np.uint8),
    "one large nucleus": discs(99)[:300, :300],
    "a dark corner, cut off at 0": vignette(DARK),
    "ground that fades into 0": np.clip(DARK.astype(int) - np.linspace(0, 60, 400).astype(int), 0, 255).astype(
        np.uint8
    ),
    "black beside dark fluorescence": beside(DARK, 0),
    "grey between ground and nuclei": beside(DARK, 127),
    "a ring of saturated nuclei in white": beside(np.clip(3 * DARK.astype(int), 0, 255).astype(np.uint8), 255),
    "one value": np.full((300, 300), 7, np.uint8),
    "two values": np.repeat(np.uint8([[3, 250]]), 200, axis=1).repeat(300, axis=0),
    "a narrow frame": np.pad(DARK, 2, constant_values=255),
    "a small spot at the border": np.pad(DARK, ((0, 0), (0, 40)))[:, :400] + np.uint8(0),
    "bool": NUCLEI > 0.5,
}


@pytest.mark.parametrize("name", NOT_PADDED)
def test_what_may_be_ground_or_nuclei_is_data(name: str) -> None:
    image = NOT_PADDED[name]
    assert measure_levels(image) == Levels(percentile_range(image), None)


@pytest.mark.parametrize("level", [60, 95])
@pytest.mark.parametrize(("name", "value"), [("dark", 255), ("bright", 0), ("bright", 255)])
def test_padding_is_known_after_jpeg(name: str, value: int, level: int) -> None:
    padded = beside(PICTURES[name], value, above=203, right=197)  # its edges lie within the squares of JPEG
    levels = measure_levels(imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(padded, level=level)))
    assert levels.padding is not None
    np.testing.assert_allclose(levels.intensity_range, percentile_range(PICTURES[name]), atol=6)


@pytest.mark.parametrize(("level", "share"), [(60, 0.01), (95, 0.001)])
def test_what_jpeg_makes_of_the_edge_of_padding_is_padding_too(level: int, share: float) -> None:
    padded = turned(PICTURES["dark"], 255, order=0)
    inside = padded == 255
    pixels = imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(padded, level=level))
    levels = measure_levels(pixels)
    assert (pixels[inside] < 255).mean() > 2 * share  # the edge
    assert (levels.normalise(pixels)[inside] > 0.9).mean() < share
    # Nothing of the picture away from the edge changes.
    assert levels.intensity_range is not None
    away = ~ndimage.binary_dilation(inside, iterations=16)
    np.testing.assert_array_equal(levels.normalise(pixels)[away], normalise(pixels, levels.intensity_range)[away])


def test_holes_of_the_padding_in_the_picture_are_padding_too() -> None:
    image = beside(BRIGHT, 0)
    image[300:364, 100:164] = 0  # a tile that the scanner omitted
    levels = measure_levels(image)
    assert levels.padding is not None
    assert levels.intensity_range is not None
    assert levels.padding.mask(image)[300:364, 100:164].all()
    assert levels.normalise(image)[300:364, 100:164].min() == 1


def test_two_values_of_padding_are_told_apart_from_the_picture() -> None:
    image = beside(beside(OFFSET, 65535), 32000)
    levels = measure_levels(image)
    assert levels.padding is not None
    assert levels.padding.values == ((32000.0,), (65535.0,))
    np.testing.assert_allclose(levels.intensity_range, percentile_range(OFFSET), atol=100)


def test_padding_is_shown_as_the_ground_of_the_picture() -> None:
    for name, value, ground in (("dark", 255, 0), ("bright", 0, 1), ("bright", 255, 1)):
        assert (normalise_image(beside(PICTURES[name], value))[:200] == ground).all()


@pytest.mark.parametrize("path", sorted((EXAMPLES / "images").iterdir()), ids=lambda path: path.stem)
def test_the_levels_of_the_examples_are_their_percentiles(path: Path) -> None:
    image = read_image(path)
    low, high = np.percentile(image, (1, 99.8))
    assert measure_levels(image) == Levels((low, high), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "file",
    [
        "dsb2018/stage1_train.zip",
        "dsb2018/stardist_test.zip",
        *(f"extra/{name}.zip" for name in ("tnbc", "bbbc039", "bitdepth", "aitslab")),
    ],
)
def test_the_levels_of_all_training_and_test_images_are_their_percentiles(real_data: Path, file: str) -> None:
    for example in read_examples(real_data / file)[0]:
        low, high = np.percentile(example.image, (1, 99.8))
        assert measure_levels(example.image) == Levels((low, high), None), example.name  # type: ignore[arg-type]


# In parts ---------------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32),
    shape=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    side=st.integers(40, 500),
    dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
)
@settings(max_examples=25)
def test_regions_in_any_order_give_the_cells_of_the_whole(
    seed: int, shape: tuple[int, int], side: int, dtype: type
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 3, shape).astype(dtype)
    image[:, : shape[1] // 2] = 1
    whole, parts = (PaddingFinder(shape, None, image.dtype) for _ in range(2))
    whole.add(0, 0, whole.extremes(0, 0, image))
    corners = [(row, column) for row in range(0, shape[0], side) for column in range(0, shape[1], side)]
    for row, column in rng.permutation(corners).tolist():
        parts.add(row, column, parts.extremes(row, column, image[row : row + side, column : column + side]))
    np.testing.assert_array_equal(parts._lowest, whole._lowest)
    np.testing.assert_array_equal(parts._highest, whole._highest)
    blocks = np.pad(image, [(0, -size % 8) for size in shape], mode="edge").reshape(-(-shape[0] // 8), 8, -1, 8)
    np.testing.assert_array_equal(whole._lowest[..., 0], blocks.min(axis=(1, 3)))


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(beside(DARK, 255), id="8 bit"),
        pytest.param(beside(OFFSET, 65535, above=2000, right=1900), id="more regions than one"),
        pytest.param(beside(BRIGHT, 0), id="colour"),
        pytest.param(turned(BRIGHT, 0), id="rotated"),
        pytest.param(beside(FLOATS, 1), id="32 bit floats"),
        pytest.param(beside(OFFSET.astype(np.float64), 1e6), id="64 bit floats"),
        pytest.param(beside(BRIGHT / 255, 0), id="colour as floats"),
        pytest.param(discs(20), id="no padding"),
    ],
)
def test_a_slide_has_the_levels_of_the_whole_image(image: NDArray[Any]) -> None:
    levels = measure_levels(image)
    survey = survey_slide(open_image(image).plane(), cell=64, workers=2)
    assert survey.levels == levels
    again = type(survey).from_json(json.loads(json.dumps(survey.to_json())))
    assert again.levels == levels


@pytest.mark.parametrize(("name", "value"), [("dark", 255), ("bright", 0), ("floating point", 1)])
@pytest.mark.parametrize("options", [{}, {"diameter": 11}, {"diameter": 40}])
def test_a_slide_with_padding_has_the_labels_of_predict(
    segmenter: Segmenter, tmp_path: Path, name: str, value: float, options: dict[str, Any]
) -> None:
    image = turned(PICTURES[name], value)
    expected = segmenter.predict(image, **options)
    assert expected.plan.padding is not None
    assert len(expected) > 10
    for tile, block in ((168, 90), (1024, 1000)):
        result = segmenter.predict_slide(
            image, out=tmp_path / str(tile), tile=tile, block=block, tissue=False, **options
        )
        np.testing.assert_array_equal(tifffile.imread(result.labels_path), expected.labels)
        plan = json.loads((tmp_path / str(tile) / "plan.json").read_text())["prediction"]
        assert plan["padding"] == expected.plan.padding


def test_no_nucleus_lies_in_padding_whatever_the_network_says(segmenter: Segmenter) -> None:
    # The tiny network takes bright pixels for nuclei: all of the ground of a bright picture.
    image = beside(BRIGHT, 0)
    found = segmenter.predict(image, maps=True)
    assert found.maps is not None
    assert (found.maps[..., 0][200:, :400] > 128).mean() > 0.5
    assert not found.maps[:200].any()
    assert not found.labels[:200].any()


# Transparency, and stains --------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [0, 255, "noise"])
@pytest.mark.parametrize("name", ["dark", "bright"])
def test_what_lies_under_transparent_pixels_does_not_count(
    embedded: Segmenter, tmp_path: Path, name: str, hidden: Any
) -> None:
    image = beside(PICTURES[name] if name == "bright" else np.repeat(DARK[..., None], 3, axis=2), 0)
    alpha = beside(np.full(DARK.shape, 255, np.uint8), 0)
    random = np.random.default_rng(0).integers(0, 255, image.shape)
    image[alpha == 0] = random[alpha == 0] if hidden == "noise" else hidden
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.dstack([image, alpha])))
    found = embedded.predict(tmp_path / "a.png")
    assert count_found(found.labels, beside(LABELS, 0)) == LABELS.max() == len(found)


def test_black_around_a_brown_picture_does_not_hide_that_it_is_brown() -> None:
    brown = np.clip([120, 70, 30] + 20 * NOISE, 0, 255).astype(np.uint8)
    brown[:, 200:] = np.clip(240 + 3 * NOISE[:, 200:], 0, 255)
    image = beside(brown, 0)
    levels = measure_levels(image)
    assert levels.padding is not None
    assert dab_attenuated_range(image, levels, None) is not None
