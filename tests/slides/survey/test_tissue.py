"""Empty glass is skipped: no nucleus is lost, and the result does not depend on how the slide is divided."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pycocotools.mask
import pytest
import tifffile
from helpers.images import draw_discs
from helpers.paths import EXAMPLES
from helpers.slides import StoredMaps, labels_in_blocks, random_maps
from hypothesis import given, settings
from hypothesis import strategies as st
from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.grouping import group
from nucleus_unet.io.source import open_image, read_image
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.preprocessing.normalisation import percentile_range
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.executors.threads import run_on_threads
from nucleus_unet.slides.grid import Block
from nucleus_unet.slides.plan import survey_slide
from nucleus_unet.slides.survey.tissue import TissueDetector
from nucleus_unet.slides.tasks import SlideTasks
from nucleus_unet.slides.tissue_mask import TissueMask
from numpy.typing import NDArray


@pytest.fixture(scope="module")
def islands() -> NDArray[np.uint8]:
    """Two islands of discs, and far from them a brighter field, almost even, in which the network sees nuclei."""
    discs = [(20, 15, 6), (22, 29, 7), (40, 20, 6), (35, 35, 6), (470, 120, 6), (480, 133, 7), (475, 150, 6)]
    image = draw_discs((500, 800), discs)
    rows, columns = np.ogrid[:330, 380:800]
    image[:330, 380:] = np.where((rows % 24 - 12) ** 2 + (columns % 24 - 12) ** 2 < 20, 124, 120)
    return image


def seen_by_others(folder: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Read the tissue mask of a run, at the slide's pixels, with other people's code."""
    tissue = json.loads((folder / "survey.json").read_text())["tissue"]
    cells = np.zeros(tissue["size"], np.uint8)
    for mask in tissue["masks"]:
        cells |= pycocotools.mask.decode(mask)
    return np.kron(cells, np.ones((tissue["side"],) * 2, np.uint8))[: shape[0], : shape[1]] > 0


@pytest.mark.parametrize(("tile", "block"), [(136, 64), (200, 333), (1024, 1000)])
def test_the_result_is_that_of_predict_with_all_maps_zero_outside_of_the_tissue(
    segmenter: Segmenter, islands: NDArray[np.uint8], tmp_path: Path, tile: int, block: int
) -> None:
    result = segmenter.predict_slide(islands, out=tmp_path, tile=tile, block=block)
    tissue = seen_by_others(tmp_path, islands.shape)
    assert 0.2 < tissue.mean() < 0.9
    whole = segmenter.predict(islands, maps=True)
    assert whole.maps is not None
    expected = group(np.where(tissue[..., None], whole.maps, 0), segmenter.bundle.config.group).labels
    assert 7 < expected.max() < len(whole)
    np.testing.assert_array_equal(tifffile.imread(result.labels_path), expected)


def test_without_the_mask_the_result_is_that_of_predict(
    segmenter: Segmenter, islands: NDArray[np.uint8], tmp_path: Path
) -> None:
    result = segmenter.predict_slide(islands, out=tmp_path, tissue=False)
    np.testing.assert_array_equal(tifffile.imread(result.labels_path), segmenter.predict(islands).labels)
    assert json.loads((tmp_path / "summary.json").read_text())["skipped"] == 0


def test_a_scaled_slide_is_cut_by_cells_of_its_own_pixels(
    segmenter: Segmenter, islands: NDArray[np.uint8], tmp_path: Path
) -> None:
    results = [
        segmenter.predict_slide(islands, out=tmp_path / str(tile), diameter=11, tile=tile, block=block)
        for tile, block in ((136, 90), (400, 400))
    ]
    assert 0 < seen_by_others(tmp_path / "136", islands.shape).mean() < 1
    assert len(results[0]) >= 7
    assert results[0].labels_path.read_bytes() == results[1].labels_path.read_bytes()


def random_cells(seed: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    return rng.random(shape) < rng.random()


@given(
    maps=st.builds(random_maps, st.integers(0, 2**32), st.just((150, 130))),
    cells=st.builds(random_cells, st.integers(0, 2**32), st.just((10, 9))),
    block=st.integers(17, 200),
)
@settings(max_examples=15)
def test_blocks_decide_wild_maps_in_wild_masks_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, maps: NDArray[np.uint8], cells: NDArray[np.bool_], block: int
) -> None:
    config = GroupConfig(
        max_offset=9, assignment_radius=5, merge_distance=9, min_area=1, min_score=0, min_peak=0, centre_threshold=0
    )
    work = StoredMaps(maps, config, tmp_path_factory.mktemp("work"), block=block, tissue=TissueMask(16, cells))
    run_on_threads(work, workers=1, calls=2)
    inside = np.kron(cells, np.ones((16, 16), bool))[:150, :130]
    expected = group(np.where(inside[..., None], maps, 0), config).labels
    np.testing.assert_array_equal(labels_in_blocks(work), expected)


def test_tiles_of_glass_are_never_asked_about_and_their_share_is_told(
    segmenter: Segmenter,
    islands: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    saved: list[int] = []
    save_maps = SlideTasks.save_maps
    monkeypatch.setattr(
        SlideTasks, "save_maps", lambda self, number, maps: (saved.append(number), save_maps(self, number, maps))
    )
    with caplog.at_level(logging.INFO):
        segmenter.predict_slide(islands, out=tmp_path / "skipping", tile=136)
    skipping = len(saved)
    saved.clear()
    segmenter.predict_slide(islands, out=tmp_path / "whole", tile=136, tissue=False)
    assert 0 < skipping < 0.9 * len(saved)
    share = json.loads((tmp_path / "skipping" / "summary.json").read_text())["skipped"]
    tissue = json.loads((tmp_path / "skipping" / "survey.json").read_text())["tissue"]
    (cells,) = (pycocotools.mask.decode(mask) for mask in tissue["masks"])
    assert share == pytest.approx(1 - cells.mean())
    assert f"{100 * share:.1f} % of the slide is empty glass" in caplog.text


def test_a_run_does_not_go_on_with_another_mask(
    segmenter: Segmenter, islands: NDArray[np.uint8], tmp_path: Path
) -> None:
    segmenter.predict_slide(islands, out=tmp_path, shard=(1, 3))
    with pytest.raises(SettingsError, match=r"tissue was \w{64}, now is None"):
        segmenter.predict_slide(islands, out=tmp_path, tissue=False)


# Where tissue is ------------------------------------------------------------------------------------------


def mask_of(image: NDArray[Any], side: int = 64) -> NDArray[np.bool_]:
    """Whether each pixel is taken for tissue."""
    view = TissueDetector(image.shape[:2], 3 if image.ndim == 3 else None, side)
    view.add(0, 0, view.extremes(image))
    cells = view.mask(percentile_range(image)).cells
    return np.kron(cells, np.ones((side, side), bool))[: image.shape[0], : image.shape[1]]


@pytest.mark.parametrize("path", sorted((EXAMPLES / "images").iterdir()), ids=lambda path: path.stem)
def test_on_a_large_glass_no_nucleus_is_lost_and_most_of_the_glass_is_passed_over(path: Path) -> None:
    image = read_image(path)
    labels = imagecodecs.imread(str(EXAMPLES / "masks" / path.name))
    height, width = labels.shape
    ground = np.median(image[labels == 0], axis=0)
    levels = percentile_range(image)
    assert levels is not None
    noise = np.random.default_rng(0).normal(0, 1, (height + 900, width + 1000, *image.shape[2:]))
    glass = ground + 0.01 * (levels.high - levels.low) * noise
    slide = np.clip(np.rint(glass), 0, 255).astype(np.uint8)
    place = (slice(300, 300 + height), slice(230, 230 + width))
    slide[place] = image
    tissue = mask_of(slide)
    assert tissue[place][labels > 0].all()
    assert tissue.sum() < (height + 2 * 256) * (width + 2 * 256)


@pytest.mark.parametrize("bright", [False, True])
def test_one_faint_small_nucleus_on_noisy_glass_is_kept(bright: bool) -> None:
    rows, columns = np.ogrid[:1000, :1000]
    slide = np.full((1000, 1000), 30.0)
    slide[(rows - 100) ** 2 + (columns - 100) ** 2 < 60**2] = 230  # sets the range of the slide
    slide[(rows - 620) ** 2 + (columns - 700) ** 2 < 6**2] += 20
    slide += np.random.default_rng(1).normal(0, 3, slide.shape)
    tissue = mask_of(np.clip(255 - slide if bright else slide, 0, 255).astype(np.uint8))
    assert tissue[620 - 6 : 620 + 6, 700 - 6 : 700 + 6].all()
    assert tissue.mean() < 0.5


def test_the_even_middle_of_a_large_nucleus_is_tissue() -> None:
    rows, columns = np.ogrid[:1000, :1000]
    inside = (rows - 512) ** 2 + (columns - 512) ** 2 < 120**2
    assert mask_of(np.where(inside, np.uint8(200), np.uint8(10)))[inside].all()


def test_colours_that_differ_in_one_channel_alone_are_tissue() -> None:
    slide = np.full((640, 640, 3), 220, np.uint8)
    slide[300:320, 300:320, 2] = 180
    assert mask_of(slide)[300:320, 300:320].all()


@pytest.mark.parametrize("shape", [(2100, 70), (65, 2111, 3)])
def test_a_slide_surveyed_in_parts_has_the_mask_of_the_whole(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    image = rng.integers(100, 103, shape).astype(np.uint16)
    image[tuple(slice(size // 3, size // 3 + 25) for size in shape[:2])] = 9000
    whole = TissueDetector(shape[:2], 3 if len(shape) == 3 else None, 64)  # type: ignore[arg-type]
    whole.add(0, 0, whole.extremes(image))
    expected = whole.mask(percentile_range(image)).cells
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(survey_slide(open_image(image).plane(), cell=64, workers=2).tissue.cells, expected)


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 1e9), (1e-300, 0.0), (1e300, 0.0)])
def test_tissue_is_seen_in_numbers_that_single_precision_cannot_hold(factor: float, offset: float) -> None:
    image = np.zeros((300, 400))
    image[40:60, 40:60] = image[250:270, 330:350] = 1
    expected = survey_slide(open_image(image).plane(), cell=32, workers=1).tissue.cells
    assert 0 < expected.mean() < 1
    far = survey_slide(open_image(image * factor + offset).plane(), cell=32, workers=1)
    np.testing.assert_array_equal(far.tissue.cells, expected)


def test_a_flat_slide_has_no_tissue() -> None:
    assert not survey_slide(open_image(np.full((90, 90), 5, np.uint8)).plane(), cell=32, workers=1).tissue.cells.any()


# Cells ----------------------------------------------------------------------------------------------------


@given(
    cells=st.builds(random_cells, st.integers(0, 2**32), st.just((7, 5))),
    scale=st.floats(0.2, 3),
    corner=st.tuples(st.integers(0, 19), st.integers(0, 10)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 20)),
)
def test_cells_say_of_each_pixel_what_its_middle_lies_in(
    cells: NDArray[np.bool_], scale: float, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    mask = TissueMask(32, cells)
    region = Block(*(slice(start, start + length) for start, length in zip(corner, size, strict=True)))
    pixels = mask.pixels(region, scale)
    for row in range(size[0]):
        for column in range(size[1]):
            place = [int((start + at + 0.5) / scale) // 32 for start, at in zip(corner, (row, column), strict=True)]
            assert pixels[row, column] == cells[min(place[0], 6), min(place[1], 4)]
    bounds = mask.bounds(region, scale)
    if bounds is None:
        assert not pixels.any()
    else:
        found = np.argwhere(pixels) + corner
        np.testing.assert_array_equal(found.min(axis=0), [span.start for span in bounds])
        np.testing.assert_array_equal(found.max(axis=0) + 1, [span.stop for span in bounds])


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_mask_is_the_same_after_json(share: float) -> None:
    mask = TissueMask(64, np.random.default_rng(0).random((9, 4)) < share)
    again = TissueMask.from_json(json.loads(json.dumps(mask.to_json())))
    np.testing.assert_array_equal(again.cells, mask.cells)
    assert again.fingerprint == mask.fingerprint
    assert TissueMask(32, mask.cells).fingerprint != mask.fingerprint


@given(seed=st.integers(0, 2**32), scale=st.sampled_from([0.4, 1.0, 2.5]), corner=st.tuples(*[st.integers(0, 60)] * 2))
def test_a_mask_covers_a_region_if_it_has_all_its_pixels(seed: int, scale: float, corner: tuple[int, int]) -> None:
    mask = TissueMask(32, np.random.default_rng(seed).random((6, 8)) < 0.9)
    region = Block(slice(corner[0], corner[0] + 12), slice(corner[1], corner[1] + 10))
    assert mask.covers(region, scale) == mask.pixels(region, scale).all()
