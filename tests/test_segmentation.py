"""What a segmentation says of its nuclei, and how it is saved by suffix."""

import base64
import sys
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from helpers.segmentations import blobs, made
from nucleus_unet.errors import MissingExtraError, SettingsError
from nucleus_unet.exports.overlay import overlay
from skimage.measure import regionprops


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "float64"])
def test_the_table_agrees_with_scikit_image(dtype: str, colour: bool) -> None:
    image = np.random.default_rng(1).integers(0, 200, (24, 31, 3) if colour else (24, 31)).astype(dtype)
    nuclei = made(blobs(), image)
    grey = image.astype(float).mean(axis=-1) if colour else image.astype(float)
    table = nuclei.table
    assert len(nuclei) == len(table["label"]) == 5
    for row, region in enumerate(regionprops(nuclei.labels.astype(int), intensity_image=grey)):
        assert table["label"][row] == region.label
        assert (table["row"][row], table["column"][row]) == pytest.approx(region.centroid)
        assert [table[side][row] for side in ("top", "left", "bottom", "right")] == list(region.bbox)
        assert table["area"][row] == region.area
        assert table["intensity"][row] == pytest.approx(region.intensity_mean, rel=1e-5)
    np.testing.assert_array_equal(table["probability"], nuclei.probabilities)
    np.testing.assert_array_equal(table["quality"], nuclei.qualities)


def test_the_table_makes_a_data_frame() -> None:
    pandas = pytest.importorskip("pandas")
    assert pandas.DataFrame(made(blobs()).table).shape == (5, 11)


def test_a_segmentation_says_how_many_nuclei_it_has() -> None:
    assert repr(made(blobs())) == "Segmentation(5 nuclei of 6.8 pixels in diameter (median), in 24 x 31 pixels)"
    assert repr(made(np.zeros((5, 7), np.uint32))) == "Segmentation(0 nuclei, in 5 x 7 pixels)"


def test_a_segmentation_is_true_also_without_nuclei_and_is_its_label_image_as_an_array() -> None:
    empty = made(np.zeros((5, 7), np.uint32))
    assert empty
    assert len(empty) == 0
    np.testing.assert_array_equal(np.asarray(made(blobs())), blobs())
    assert np.asarray(made(blobs()), dtype=np.uint16).dtype == np.uint16


def test_a_notebook_shows_the_outlines() -> None:
    html = made(blobs())._repr_html_()
    encoded = html.partition("base64,")[2].partition('"')[0]
    picture = imagecodecs.png_decode(base64.b64decode(encoded))
    np.testing.assert_array_equal(picture, overlay(made(blobs()).image, blobs()))
    assert "5 nuclei" in html


NAMES = [
    "a.tif",
    "a.TIFF",
    "a.csv",
    "a.rle.csv",
    "a.coco.json",
    "a.json",
    "a.parquet",
    "a.geojson",
    "a.geojson.gz",
    "a.png",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("as_text", [False, True])
def test_the_suffix_chooses_the_format(tmp_path: Path, name: str, as_text: bool) -> None:
    target = tmp_path / "new folder" / name
    assert made(blobs()).save(str(target) if as_text else target) == target
    starts = {
        "tif": b"II",
        "tiff": b"II",
        "csv": b"label,row,column,",
        "rle.csv": b"ImageId",
        "coco.json": b'{"images"',
        "json": b'{"type"',
        "parquet": b"PAR1",
        "geojson": b'{"type"',
        "geojson.gz": b"\x1f\x8b",
        "png": b"\x89PNG",
    }
    assert target.read_bytes().startswith(starts[name.lower().partition(".")[2]])


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.gz", "geojson"])
def test_another_suffix_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=r"expected a name that ends in one of \.tif, .*\.csv, .*\.png"):
        made(blobs()).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_format_may_be_named_whatever_the_suffix(tmp_path: Path) -> None:
    made(blobs()).save(tmp_path / "a.rle.csv", file_format="csv")
    assert (tmp_path / "a.rle.csv").read_bytes().startswith(b"label,")
    with pytest.raises(SettingsError, match=r"format: expected some of tif, .* got txt"):
        made(blobs()).save(tmp_path / "a.txt", file_format="txt")


@pytest.mark.parametrize("path", [None, 3, "", "a\0b.csv", b"a.csv"])
def test_what_is_no_path_is_refused(path: Any) -> None:
    nuclei = made(blobs())
    for save in (nuclei.save, *((nuclei.to_geojson, nuclei.to_rle) if path is not None else ())):
        with pytest.raises(SettingsError, match="path: expected a path, got"):
            save(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_an_image_without_pixels_has_no_picture(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(SettingsError, match="an image without pixels has no"):
        made(np.zeros((0, 5), np.uint32), np.zeros((0, 5), np.uint8)).save(tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_an_image_without_pixels_has_an_empty_plot() -> None:
    pytest.importorskip("matplotlib")
    axes = made(np.zeros((0, 5), np.uint32), np.zeros((0, 5), np.uint8)).plot()
    assert axes.get_title() == "0 nuclei"


def test_a_plot_shows_the_image_with_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = made(blobs()).plot(figure.subplots())
    assert axes.get_title() == "5 nuclei"
    assert axes.images[0].get_array().shape == (24, 31, 3)


def test_a_plot_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "matplotlib", "matplotlib.figure", "matplotlib.pyplot":
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[plot\]'"):
        made(blobs()).plot()
