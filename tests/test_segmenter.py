"""The predict flow from image to nuclei."""

from pathlib import Path
from typing import Any

import nucleus_unet
import numpy as np
import pytest
import tifffile
from helpers.commands import run_script
from helpers.images import draw_discs
from nucleus_unet import Segmentation, Segmenter
from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.model.bundle import load_bundle
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def test_every_disc_is_a_nucleus(segmenter: Segmenter, discs: Image) -> None:
    nuclei = segmenter.predict(discs)
    assert len(nuclei) == 5
    assert nuclei.labels.dtype == np.uint32
    np.testing.assert_array_equal(nuclei.labels > 0, discs > 100)
    assert np.shares_memory(nuclei.image, discs)
    assert nuclei.maps is None


def test_nuclei_are_numbered_by_raster_order(segmenter: Segmenter, discs: Image) -> None:
    for diameter in None, 12, 30:
        nuclei = segmenter.predict(discs, diameter=diameter)
        present, first = np.unique(nuclei.labels, return_index=True)
        assert present.tolist() == list(range(len(nuclei) + 1))
        assert len(nuclei) > 1
        assert (np.diff(first[1:]) > 0).all()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_every_image_of_the_contract_gives_the_same_nuclei(
    segmenter: Segmenter, discs: Image, dtype: str, channels: int | None
) -> None:
    bright = discs > 100
    image = bright if channels is None else np.repeat(bright[..., None], channels, axis=-1)
    np.testing.assert_array_equal(segmenter.predict(image.astype(dtype)).labels > 0, bright)


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("shape", [(0, 0), (0, 9), (1, 1), (1, 9), (64, 64), (64, 64, 3)])
def test_an_empty_or_flat_image_has_no_nuclei(segmenter: Segmenter, shape: tuple[int, ...], value: int) -> None:
    nuclei = segmenter.predict(np.full(shape, value, np.uint8), maps=True)
    assert len(nuclei) == 0
    assert nuclei.labels.shape == shape[:2]
    assert nuclei.maps is not None
    assert nuclei.maps.shape == (*shape[:2], 4)
    assert nuclei.plan.intensity_range is None
    assert len(nuclei.table["label"]) == 0


def test_a_list_gives_a_list(segmenter: Segmenter, discs: Image, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "image.tif", discs)
    several = segmenter.predict([discs, discs[:50], tmp_path / "image.tif"], maps=True)
    assert [len(each) for each in several] == [5, 2, 5]
    assert all(each.maps is not None for each in several)
    assert segmenter.predict([]) == []


def test_a_bad_image_of_a_list_is_named_by_its_place(segmenter: Segmenter, discs: Image) -> None:
    with pytest.raises(ImageError, match=r"images\[2\]: image values: expected finite numbers"):
        segmenter.predict([discs, discs, np.full((5, 5), np.nan)])


@pytest.mark.parametrize("path", ["a\0b.tif", "", Path("a\0b.tif")])
def test_what_is_no_path_is_refused_in_a_sentence(segmenter: Segmenter, tmp_path: Path, path: str | Path) -> None:
    for call in (segmenter.predict, lambda image: segmenter.predict_slide(image, out=tmp_path)):
        with pytest.raises(SettingsError, match="expected a path, got"):
            call(path)
    with pytest.raises(SettingsError, match="out: expected a path, got"):
        segmenter.predict_slide(np.zeros((5, 5), np.uint8), out=path)


def test_a_file_gives_what_its_pixels_give(segmenter: Segmenter, discs: Image, tmp_path: Path) -> None:
    path = tmp_path / "image.ome.tif"
    stack = np.stack([np.zeros_like(discs), discs])
    tifffile.imwrite(path, stack, ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["GFP", "DAPI"]}})
    expected = segmenter.predict(discs).labels
    for channel in 1, "DAPI":
        np.testing.assert_array_equal(segmenter.predict(path, channel=channel).labels, expected)
        np.testing.assert_array_equal(segmenter.predict(str(path), channel=channel).labels, expected)
    np.testing.assert_array_equal(segmenter.predict(stack, channel_axis=0, channel=1).labels, expected)
    with pytest.raises(ImageError, match=rf"{path}: channel: expected one of the 2 channels 'GFP', 'DAPI'"):
        segmenter.predict(path)


def test_labels_do_not_depend_on_tile_or_batch_size(segmenter: Segmenter) -> None:
    places = np.random.default_rng(2).integers(0, 200, (40, 2))
    image = draw_discs((190, 170), [(int(row), int(column), 6) for row, column in places])
    whole = segmenter.predict(image, maps=True)
    assert len(whole) > 10
    for tile, batch_size in (104, 4), (128, 1), (150, 3):
        tiled = segmenter.predict(image, tile=tile, batch_size=batch_size, maps=True)
        np.testing.assert_array_equal(tiled.maps, whole.maps)
        np.testing.assert_array_equal(tiled.labels, whole.labels)
        np.testing.assert_array_equal(tiled.probabilities, whole.probabilities)
        assert tiled.plan == whole.plan


@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_a_diameter_scales_the_image_and_labels_come_back_on_its_pixels(segmenter: Segmenter, factor: float) -> None:
    places = [(24, 24, 8), (30, 70, 8), (75, 50, 8)]
    image = draw_discs((int(100 * factor), int(110 * factor)), [tuple(int(n * factor) for n in p) for p in places])
    nuclei = segmenter.predict(image, diameter=16 * factor, maps=True)
    assert nuclei.plan.scale == 1 / factor
    assert nuclei.labels.shape == image.shape
    assert nuclei.maps is not None
    assert nuclei.maps.shape == (100, 110, 4)
    assert len(nuclei) == 3
    bright = image > 100
    assert ((nuclei.labels > 0) & bright).sum() > 0.85 * ((nuclei.labels > 0) | bright).sum()


def test_a_pixel_size_does_not_scale_an_image_that_is_no_stained_tissue(segmenter: Segmenter, discs: Image) -> None:
    found = segmenter.predict(discs, mpp=2 * segmenter.bundle.config.mpp, measure="shape")
    assert (found.plan.scale, found.mpp) == (1, 2 * segmenter.bundle.config.mpp)
    np.testing.assert_array_equal(found.labels, segmenter.predict(discs).labels)


def test_a_diameter_decides_where_a_pixel_size_is_given_too(segmenter: Segmenter, discs: Image) -> None:
    found = segmenter.predict(discs, diameter=segmenter.bundle.config.diameter / 2, mpp=0.5)
    assert (found.plan.scale, found.mpp) == (2, 0.5)


@pytest.mark.parametrize("diameter", [None, 10.0, 30.0])
def test_nuclei_below_the_least_area_are_dropped(segmenter: Segmenter, discs: Image, diameter: float | None) -> None:
    areas = segmenter.predict(discs, diameter=diameter, min_area=0).table["area"]
    assert len(areas) > 1
    for least in sorted(areas)[1:]:
        kept = segmenter.predict(discs, diameter=diameter, min_area=int(least)).table["area"]
        assert kept.tolist() == [area for area in areas if area >= least]


@pytest.mark.parametrize(("share", "kept"), [(0.1, 3), (0.5, 2)])
def test_a_share_of_the_typical_area_drops_fragments(segmenter: Segmenter, share: float, kept: int) -> None:
    # The reference diameter of the model is 16 pixels: 201 pixels of area.
    image = draw_discs((100, 110), [(24, 24, 8), (30, 70, 8), (75, 50, 4)])
    nuclei = segmenter.predict(image, min_area=share)
    assert len(nuclei) == kept
    assert nuclei.plan.min_area == round(share * np.pi * 64)


def test_a_higher_threshold_draws_tighter_outlines(segmenter: Segmenter) -> None:
    rows, columns = np.ogrid[:60, :60]
    blob = np.exp(-((rows - 30) ** 2 + (columns - 30) ** 2) / 200)
    areas = [int((segmenter.predict(blob, threshold=level).labels > 0).sum()) for level in (0.2, 0.5, 0.8)]
    assert areas[0] > areas[1] > areas[2] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": -0.1}, "threshold: expected a probability of 0 to 1, got -0.1"),
        ({"threshold": 1.1}, "threshold: .* got 1.1"),
        ({"min_probability": -0.1}, "min_probability: expected a probability of 0 to 1, got -0.1"),
        ({"threshold": float("nan")}, "threshold: .* got nan"),
        ({"min_area": -1}, "min_area: expected a whole number of pixels, 0 or more"),
        ({"batch_size": 0}, "batch_size: expected a whole number of at least 1, got 0"),
        ({"tile": 0}, "tile: expected a whole number of at least 1, got 0"),
        ({"diameter": 0}, "diameter: expected 0.8 to 320 pixels, which scale the image by 0.05 to 20, got 0"),
        ({"diameter": -5}, "diameter: .* got -5"),
        ({"diameter": 1e9}, "diameter: .* got 1000000000.0"),
        ({"diameter": float("nan")}, "diameter: .* got nan"),
        ({"mpp": 0}, "mpp: .* got 0"),
        ({"mpp": float("inf")}, "mpp: .* got inf"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(
    segmenter: Segmenter, discs: Image, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        segmenter.predict(discs, **options)


def test_an_unknown_device_or_precision_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(SettingsError, match="device: expected 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps', got 'abacus'"):
        Segmenter.from_pretrained(tiny_bundle, device="abacus")
    with pytest.raises(SettingsError, match=r"precision: expected .* got 'float16'"):
        Segmenter.from_pretrained(tiny_bundle, precision="float16")  # type: ignore[arg-type]


def test_the_plan_says_all_that_the_result_depends_on(segmenter: Segmenter, tiny_bundle: Path, discs: Image) -> None:
    plan = segmenter.predict(discs, threshold=0.6, min_area=7).plan
    assert plan.model == "tiny"
    assert plan.fingerprint == load_bundle(tiny_bundle).fingerprint
    assert plan.intensity_range == [np.percentile(discs, 1), np.percentile(discs, 99.8)]
    assert (plan.scale, plan.device, plan.precision) == (1.0, "cpu", "float32")
    assert (plan.engine, plan.hardware) == (segmenter.engine.identity.engine, "x86-64")
    assert plan.threads is plan.tile is plan.batch_size is None
    assert (plan.group["foreground_threshold"], plan.group["min_area"]) == (0.6, 7)
    assert plan.to_json()["group"] == plan.group


def test_importing_the_package_loads_nothing_heavy() -> None:
    run_script(
        "import sys, nucleus_unet\n"
        "assert nucleus_unet.__version__\n"
        "assert nucleus_unet.Segmentation.__name__ == 'Segmentation'\n"
        "heavy = {'torch', 'openvino', 'matplotlib', 'scipy', 'skimage', 'pandas', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )


def test_the_package_offers_what_it_lists() -> None:
    assert nucleus_unet.Segmenter is Segmenter
    assert set(nucleus_unet.__all__) <= set(dir(nucleus_unet))
    assert all(hasattr(nucleus_unet, name) for name in nucleus_unet.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        nucleus_unet.nonsense  # noqa: B018


def test_progress_is_silent_where_nobody_watches(
    segmenter: Segmenter, discs: Image, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(segmenter.predict(discs, progress=True), Segmentation)
    assert capsys.readouterr() == ("", "")
