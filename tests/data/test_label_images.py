"""Label images are read however people keep them, and what lost the labels is refused."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from nucleus_unet.data.dataset import read_examples
from nucleus_unet.data.label_images import read_label_image
from nucleus_unet.errors import DataError, ImageError, MaskError
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import relabel_sequential

SHAPE = (24, 30)
# Three nuclei, two of which touch, with ids that jump and are not in raster order.
IDS = np.zeros(SHAPE, np.uint16)
IDS[2:8, 3:9], IDS[2:8, 9:14], IDS[15:20, 20:27] = 700, 41, 1003
SMALL_IDS = np.select([IDS == 700, IDS == 41, IDS == 1003], [200, 7, 9]).astype(np.uint8)
EXPECTED = np.select([IDS == 700, IDS == 41, IDS == 1003], [1, 2, 3])
GREY = np.arange(720, dtype=np.uint16).reshape(SHAPE).astype(np.uint8)
COLOURS = {0: (0, 0, 0), 200: (255, 0, 0), 7: (250, 0, 0), 9: (10, 200, 30)}


def pillow(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def npy(array: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def palette(ids: NDArray[np.uint8], colours: NDArray[np.uint8], **options: Any) -> bytes:
    image = Image.fromarray(ids)
    image.putpalette(colours.tobytes())
    return pillow(image, **options)


def coloured(**more: int) -> NDArray[np.uint8]:
    """The labels as colours, two of which are nearly equal."""
    channels = [np.select([key == SMALL_IDS for key in COLOURS], [c[k] for c in COLOURS.values()]) for k in range(3)]
    channels += [np.full(SHAPE, value) for value in more.values()]
    return np.stack(channels, axis=-1).astype(np.uint8)


RANDOM = np.random.default_rng(0).integers(0, 255, (256, 3)).astype(np.uint8)
TRANSPARENT = coloured(alpha=255)
TRANSPARENT[SMALL_IDS == 0] = (90, 80, 70, 0)
FEW = relabel_sequential(SMALL_IDS)[0].astype(np.uint8)

FORMS = {
    "TIFF of 16 bits": tiff(IDS),
    "TIFF of 32 bits": tiff(IDS.astype(np.uint32) * 1_000_000),
    "TIFF of 64 bits, ids beyond 32 bits": tiff(IDS.astype(np.uint64) * 2**40),
    "TIFF of floating point numbers": tiff(IDS.astype(np.float32)),
    "TIFF of double precision": tiff(IDS.astype(np.float64)),
    "TIFF with compression": tiff(IDS, compression="zlib", tile=(16, 16)),
    "TIFF of big-endian numbers": tiff(IDS, byteorder=">"),
    "TIFF with a colour table": tiff(SMALL_IDS, photometric="palette", colormap=RANDOM.T.astype(np.uint16) * 257),
    "TIFF of colours": tiff(coloured(), photometric="rgb"),
    "TIFF of colours in planes": tiff(np.moveaxis(coloured(), -1, 0), photometric="rgb", planarconfig="separate"),
    "TIFF in which 0 is white": tiff(IDS, photometric="miniswhite"),
    "ImageJ": tiff(IDS, imagej=True),
    "ImageJ with a lookup table": tiff(SMALL_IDS, imagej=True, metadata={"LUTs": [RANDOM.T]}),
    "ImageJ of floating point numbers": tiff(IDS.astype(np.float32), imagej=True),
    "OME-TIFF": tiff(IDS, ome=True),
    "OME-TIFF with axes of length one": tiff(IDS[None, None, None], ome=True, metadata={"axes": "TCZYX"}),
    "PNG of 8 bits": imagecodecs.png_encode(SMALL_IDS),
    "PNG of 16 bits": imagecodecs.png_encode(IDS),
    "PNG with a palette": palette(SMALL_IDS, RANDOM),
    "PNG with a palette of equal colours": palette(SMALL_IDS, np.zeros((256, 3), np.uint8)),
    "PNG with a palette of 2 bits": palette(FEW, RANDOM, bits=2),
    "PNG with a palette and transparency": palette(SMALL_IDS, RANDOM, transparency=0),
    "PNG of colours": imagecodecs.png_encode(coloured()),
    "PNG of colours with alpha": imagecodecs.png_encode(coloured(alpha=255)),
    "PNG of colours on transparent ground": imagecodecs.png_encode(TRANSPARENT),
    "PNG of grey as RGB": imagecodecs.png_encode(np.repeat(SMALL_IDS[..., None], 3, axis=2)),
    "PNG of grey with alpha": imagecodecs.png_encode(np.dstack([SMALL_IDS, np.full_like(SMALL_IDS, 255)])),
    "BMP": pillow(Image.fromarray(coloured()), "BMP"),
    "NumPy": npy(IDS),
    "NumPy of int64": npy(IDS.astype(np.int64)),
    "NumPy of floating point numbers": npy(IDS.astype(np.float64)),
    "NumPy in columns": npy(np.asfortranarray(IDS)),
    "NumPy with an axis of length one": npy(IDS[None]),
}


@pytest.mark.parametrize("form", FORMS)
def test_labels_are_the_same_in_every_form(form: str) -> None:
    found = read_label_image(FORMS[form], "masks/a", SHAPE)
    np.testing.assert_array_equal(found, EXPECTED)
    assert found.dtype == np.uint32


def test_the_last_number_of_a_palette_is_no_nucleus(caplog: pytest.LogCaptureFixture) -> None:
    # VOC draws outlines with it, and labelme what was not labelled.
    ids = SMALL_IDS.copy()
    ids[21:, :] = 255
    found = read_label_image(palette(ids, RANDOM), "masks/a.png", SHAPE)
    np.testing.assert_array_equal(found, EXPECTED)
    assert "masks/a.png: 90 pixels of the palette's number 255 (void) are background" in caplog.text
    assert read_label_image(imagecodecs.png_encode(ids), "masks/a.png", SHAPE).max() == 4


def test_one_nucleus_may_have_any_number() -> None:
    for value in (1, 255):
        one = np.where(IDS == 700, value, 0).astype(np.uint8)
        np.testing.assert_array_equal(read_label_image(imagecodecs.png_encode(one), "a.png", SHAPE), IDS == 700)


NOISE = np.random.default_rng(1).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
FRACTIONS = np.where(IDS == 41, np.float32(40.5), IDS.astype(np.float32))
NOT_FINITE = np.where(IDS == 41, np.float32("nan"), IDS.astype(np.float32))

REFUSED = {
    "JPEG": (imagecodecs.jpeg8_encode(SMALL_IDS), "expected labels without loss, got JPEG"),
    "WebP": (imagecodecs.webp_encode(coloured()), "expected labels without loss"),
    "JPEG 2000": (imagecodecs.jpeg2k_encode(SMALL_IDS), "expected labels without loss"),
    "TIFF with JPEG": (tiff(SMALL_IDS, compression="jpeg"), "expected labels without loss, got a TIFF with JPEG"),
    "another size": (tiff(IDS[:20]), r"the image's shape \(24, 30\), got \(20, 30\)$"),
    "turned": (tiff(IDS.T), r"the image's shape \(24, 30\), got \(30, 24\); it is turned"),
    "a stack": (tiff(np.stack([IDS] * 5), photometric="minisblack"), "it has 5 pages"),
    "negative": (npy(-IDS.astype(np.int32)), "expected 0 and positive labels, got -1003"),
    "fractions": (tiff(FRACTIONS), "expected labels as integers, got 40.5: are these probabilities"),
    "not finite": (tiff(NOT_FINITE), "expected finite numbers, got 30 pixels that are NaN"),
    "huge": (npy(IDS.astype(np.float64) * 1e30), r"expected labels below 2\^63"),
    "complex": (npy(IDS.astype(np.complex64)), "expected labels as integers, got complex64"),
    "text": (npy(IDS.astype("U4")), "expected labels as integers, got <U4"),
    "objects": (npy(np.array({"masks": 1}, object), allow_pickle=True), "Python objects, which are not read"),
    "one value": (
        imagecodecs.png_encode((IDS > 0) * np.uint8(255)),
        "one number for each nucleus, got 255 for all of 2",
    ),
    "one bit": (tiff(IDS > 0), "got 1 for all of 2 pieces"),
    "a picture": (imagecodecs.png_encode(np.where(IDS[..., None] > 0, NOISE, 0)), "fewer than 5 pixels: .* a picture"),
    "no black ground": (imagecodecs.png_encode(np.maximum(coloured(), 1)), "colours of nuclei on black"),
    "channels": (npy(np.zeros((*SHAPE, 7), np.uint8)), "expected labels as .* got"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_label_image_is_refused_with_the_reason(form: str) -> None:
    content, why = REFUSED[form]
    with pytest.raises((ImageError, MaskError), match=why):
        read_label_image(content, "masks/a", SHAPE)


@pytest.mark.parametrize("form", ["TIFF with compression", "PNG with a palette", "PNG of colours", "NumPy", "BMP"])
@pytest.mark.parametrize("part", [0, 3, 30, 60])
def test_a_file_that_is_cut_off_is_refused(form: str, part: int) -> None:
    with pytest.raises((ImageError, MaskError)):
        read_label_image(FORMS[form][:part], "masks/a", SHAPE)


# Files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    def write(files: dict[str, bytes]) -> Path:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        return tmp_path

    return write


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "npy", "tif"])
def test_the_image_may_be_of_another_kind_than_its_labels(
    store: Callable[[dict[str, bytes]], Path], suffix: str
) -> None:
    image = {"npy": npy, "tif": tiff}.get(suffix) or (lambda grey: pillow(Image.fromarray(grey), _kind(suffix)))
    (example,), report = read_examples(store({f"images/a.{suffix}": image(GREY), "masks/a.npy": npy(IDS)}))
    np.testing.assert_array_equal(example.labels, EXPECTED)
    assert (example.image.shape[:2], report.skipped) == (SHAPE, {})


def _kind(suffix: str) -> str:
    return {"jpg": "JPEG"}.get(suffix, suffix.upper())


@pytest.mark.parametrize(
    "labels",
    [
        "masks/a.ome.tif",
        "labels/a.tif",
        "Masks/a.TIF",
        "masks/a_mask.tif",
        "masks/a_masks.tif",
        "masks/a_cp_masks.tif",
        "labels/a_label.tif",
    ],
)
def test_label_images_are_found_by_the_names_that_programs_give_them(
    store: Callable[[dict[str, bytes]], Path], labels: str
) -> None:
    (example,), _ = read_examples(store({"images/a.tif": tiff(GREY), labels: tiff(IDS)}))
    assert example.name == "a"
    np.testing.assert_array_equal(example.labels, EXPECTED)


def test_a_folder_of_masks_may_hold_a_folder_for_each_image(store: Callable[[dict[str, bytes]], Path]) -> None:
    files = {f"images/{name}.png": imagecodecs.png_encode(GREY) for name in "ab"}
    for name, value in (("a/1.png", 700), ("a/2.png", 41), ("a/3.tif", 1003), ("b/1.bmp", 700)):
        mask = (value == IDS) * np.uint8(255)
        encode = {"png": imagecodecs.png_encode, "tif": tiff, "bmp": lambda m: pillow(Image.fromarray(m), "BMP")}
        files[f"masks/{name}"] = encode[name[-3:]](mask)
    (a, b), report = read_examples(store(files))
    np.testing.assert_array_equal(a.labels, EXPECTED)
    np.testing.assert_array_equal(b.labels, IDS == 700)
    assert report.skipped == {}


def test_files_of_other_kinds_beside_the_labels_are_named_where_they_are_missed(
    store: Callable[[dict[str, bytes]], Path],
) -> None:
    good = {"images/a.tif": tiff(GREY), "masks/a.tif": tiff(IDS), "masks/Thumbs.db": b"?", "masks/a.json": b"{}"}
    broken = {
        "images/b.tif": tiff(GREY),
        "masks/b.jpg": imagecodecs.jpeg8_encode(SMALL_IDS),
        "images/c.czi": b"ZISRAWFILE",
        "masks/c.tif": tiff(IDS),
        "images/d.tif": tiff(GREY),
        "masks/d.roi": b"Iout",
        "images/e.tif": tiff(GREY),
        "masks/e.tif": tiff(IDS),
        "masks/e.png": imagecodecs.png_encode(IDS),
    }
    examples, report = read_examples(store(good | broken))
    assert [example.name for example in examples] == ["a"]
    assert "masks/b.jpg is not read, because its compression changes labels: save it as PNG" in report.skipped["b"]
    assert "masks/c.tif has no image; images/c.czi is not read" in report.skipped["c"]
    assert "masks/d.roi is not read, only .tif, .tiff, .png, .bmp, .npy are" in report.skipped["d"]
    assert "have the same name: delete or rename one of them" in report.skipped["e"]


def test_a_mask_of_one_nucleus_as_jpeg_is_refused(store: Callable[[dict[str, bytes]], Path]) -> None:
    files = {"a/images/a.png": imagecodecs.png_encode(GREY), "a/masks/1.png": imagecodecs.jpeg8_encode(SMALL_IDS)}
    with pytest.raises(DataError, match=r"a/masks/1\.png: expected labels without loss"):
        read_examples(store(files))


def test_whole_sets_of_real_labels_are_no_pictures(real_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _, report = read_examples(real_data / "extra" / "bitdepth.zip")
    assert report.skipped == {}


def test_numbers_of_classes_and_pictures_are_no_labels() -> None:
    classes = np.zeros((60, 60), np.uint8)
    for place in range(10):
        classes[6 * place : 6 * place + 4, 5:9] = 1 + place % 2
    picture = np.random.default_rng(0).integers(0, 30, (60, 60)).astype(np.uint8)
    for pixels in (classes, np.repeat(np.repeat(picture, 3, 0), 3, 1)):
        with pytest.raises(MaskError, match="one number for each nucleus"):
            read_label_image(tiff(pixels), "a.tif", pixels.shape)


def test_labels_without_background_are_refused() -> None:
    with pytest.raises(MaskError, match="0 for background"):
        read_label_image(tiff(SMALL_IDS + 1), "a.tif", SHAPE)


def test_a_nucleus_in_three_pieces_is_a_nucleus() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[::4, 3:9][:3] = 5

    assert read_label_image(tiff(labels), "a.tif", labels.shape).max() == 1
