"""Reading training sets in every layout, from folders and zips."""

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers.commands import run_script
from nucleus_unet.data.dataset import Example, ReadReport, read_examples
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.io.selection import Selection
from nucleus_unet.preprocessing.levels import normalise_image
from numpy.typing import NDArray
from PIL import Image

Files = dict[str, bytes]
Store = Callable[[Files], Path]

SHAPE = (6, 8)
GREY = np.arange(48, dtype=np.uint8).reshape(SHAPE)
RGB = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)


def png(pixels: NDArray[Any]) -> bytes:
    return bytes(imagecodecs.png_encode(pixels))


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def mask(*boxes: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Mask that is 255 in boxes of (top, left, bottom, right)."""
    pixels = np.zeros(SHAPE, dtype=np.uint8)
    for top, left, bottom, right in boxes:
        pixels[top:bottom, left:right] = 255
    return pixels


UPPER, LOWER = mask((0, 0, 2, 3)), mask((4, 4, 6, 8))
LABELS = (np.uint16(7) * (UPPER > 0) + np.uint16(3) * (LOWER > 0)).astype(np.uint16)
NUMBERED = (1 * (UPPER > 0) + 2 * (LOWER > 0)).astype(np.uint32)


def kaggle(name: str, image: bytes, *masks: NDArray[np.uint8], above: str = "") -> Files:
    files = {f"{above}{name}/images/{name}.png": image}
    # The lower nucleus gets the earlier file name, so that numbering by file and by raster order differ.
    return files | {f"{above}{name}/masks/{9 - i}.png": png(pixels) for i, pixels in enumerate(masks)}


@pytest.fixture(params=["folder", "zip"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Write files into a folder or a zip called `set`."""

    def write_folder(files: Files) -> Path:
        for name, content in files.items():
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / "set"

    def write_zip(files: Files) -> Path:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return tmp_path / "set.zip"

    return write_folder if request.param == "folder" else write_zip


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "table.csv").write_text(text)
        return tmp_path / "table.csv"

    return write


@pytest.mark.parametrize("above", ["", "stage1_train/"])
def test_kaggles_layout_is_read_also_one_folder_deeper(store: Store, above: str) -> None:
    source = store(kaggle("b", png(GREY), UPPER, LOWER, above=above) | kaggle("a", png(RGB), UPPER, above=above))
    examples, report = read_examples(source)
    assert [example.name for example in examples] == ["a", "b"]
    assert {(example.category, example.field_id) for example in examples} == {("set", "a"), ("set", "b")}
    np.testing.assert_array_equal(examples[1].image, GREY)
    np.testing.assert_array_equal(examples[1].labels, NUMBERED)
    assert examples[1].labels.dtype == np.uint32
    assert (report.images, report.nuclei) == (2, 3)
    assert report == ReadReport(2, 3, {}, {}, {}, {}, {})


@pytest.mark.parametrize("above", ["", "test/"])
@pytest.mark.parametrize("encode", [png, tiff])
def test_label_images_are_read_also_one_folder_deeper(
    store: Store, above: str, encode: Callable[[NDArray[Any]], bytes]
) -> None:
    source = store(
        {
            f"{above}images/x.tif": tiff(GREY),
            f"{above}masks/x.{'png' if encode is png else 'tif'}": encode(LABELS),
            f"{above}SOURCE.txt": b"somewhere",
        }
    )
    (example,), report = read_examples(source)
    assert (example.name, example.category, example.field_id) == ("x", "set", "x")
    np.testing.assert_array_equal(example.labels, NUMBERED)
    assert report.nuclei == 2


def test_a_table_of_run_length_encodings_takes_the_place_of_mask_files(
    store: Store, table: Callable[[str], Path]
) -> None:
    # Column-major from 1: the upper nucleus is rows 0-1 of columns 0-2, the lower rows 4-5 of columns 4-7.
    encodings = table("ImageId,EncodedPixels\na,29 2 35 2 41 2 47 2\na,1 2 7 2 13 2\nabsent,1 2\nblank,\n")
    source = store(kaggle("a", png(GREY)) | kaggle("blank", png(GREY)) | kaggle("c", png(GREY)))
    (example, blank), report = read_examples(source, labels_csv=encodings)
    np.testing.assert_array_equal(example.labels, NUMBERED)
    assert not blank.labels.any()
    assert report.empty_masks == {"blank": 1}
    assert report.skipped.keys() == {"c"}
    assert "no row" in report.skipped["c"]


def test_a_table_of_run_length_encodings_is_used_even_beside_mask_files(
    store: Store, table: Callable[[str], Path]
) -> None:
    (example,), _ = read_examples(
        store(kaggle("a", png(GREY), UPPER)), labels_csv=table("ImageId,EncodedPixels\na,48 1\n")
    )
    assert np.argwhere(example.labels).tolist() == [[5, 7]]


PALETTE = Image.fromarray(RGB).quantize(256)


def palette_png() -> bytes:
    buffer = io.BytesIO()
    PALETTE.save(buffer, "PNG")
    return buffer.getvalue()


ALPHA = np.full((*SHAPE, 1), 255, dtype=np.uint8)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(png(GREY), GREY, id="grey"),
        pytest.param(png(RGB), RGB, id="colour"),
        pytest.param(png(np.repeat(GREY[..., None], 3, axis=-1)), GREY, id="grey as RGB"),
        pytest.param(png(np.dstack([RGB, ALPHA])), RGB, id="colour with alpha"),
        pytest.param(png(np.dstack([GREY, GREY, GREY, ALPHA])), GREY, id="grey as RGB with alpha"),
        pytest.param(png(np.dstack([GREY, ALPHA])), GREY, id="grey with alpha"),
        pytest.param(png(GREY.astype(np.uint16) * 999), GREY.astype(np.uint16) * 999, id="16 bit"),
        pytest.param(png(RGB.astype(np.uint16) * 999), RGB.astype(np.uint16) * 999, id="16 bit colour"),
        pytest.param(palette_png(), np.asarray(PALETTE.convert("RGB")), id="palette"),
    ],
)
def test_images_come_back_as_stored_less_the_channels_that_say_nothing(
    store: Store, content: bytes, expected: NDArray[Any]
) -> None:
    (example,), _ = read_examples(store(kaggle("a", content, UPPER)))
    np.testing.assert_array_equal(example.image, expected, strict=True)


def test_planar_tiffs_come_back_with_channels_last(store: Store) -> None:
    content = tiff(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate")
    (example,), _ = read_examples(store({"images/x.tif": content, "masks/x.tif": tiff(LABELS)}))
    np.testing.assert_array_equal(example.image, RGB)


def test_overlapping_masks_are_reported_and_the_earlier_file_wins(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    files = kaggle("a", png(GREY)) | {
        "a/masks/1.png": png(mask((0, 0, 2, 4))),
        "a/masks/2.png": png(mask((1, 2, 4, 4))),
    }
    (example,), report = read_examples(store(files))
    assert report.overlaps == {"a": 2}
    assert "a: pixels in several masks, assigned to one of them: 2" in caplog.text
    assert (example.labels[1, 2:4] == example.labels[0, 0]).all()


def test_empty_masks_are_reported(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    _, report = read_examples(store(kaggle("a", png(GREY), UPPER, mask(), mask())))
    assert report.empty_masks == {"a": 2}
    assert report.nuclei == 1
    assert "empty masks: 2" in caplog.text


def test_masks_that_lie_in_earlier_ones_are_reported(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    (example,), report = read_examples(store(kaggle("a", png(GREY), UPPER, LOWER, LOWER)))
    assert (report.hidden_masks, report.overlaps, report.nuclei) == ({"a": 1}, {"a": 8}, 2)
    np.testing.assert_array_equal(example.labels, NUMBERED)
    assert "masks completely in earlier masks, lost: 1" in caplog.text


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_number_of_threads_changes_nothing(store: Store, threads: int) -> None:
    files = {name: content for key in "abcdefgh" for name, content in kaggle(key, png(GREY), UPPER, LOWER).items()}
    source = store(files)
    expected, expected_report = read_examples(source)
    examples, report = read_examples(source, threads=threads)
    assert report == expected_report
    for one, other in zip(examples, expected, strict=True):
        assert (one.name, one.category, one.field_id) == (other.name, other.category, other.field_id)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_an_image_of_only_empty_masks_is_an_example_without_nuclei(store: Store) -> None:
    (example,), report = read_examples(store(kaggle("a", png(GREY), mask())))
    assert not example.labels.any()
    assert (report.images, report.nuclei) == (1, 0)


SMALL = np.ones((2, 2), dtype=np.uint8)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        pytest.param(kaggle("x", png(GREY)), "no masks", id="no masks"),
        pytest.param(kaggle("x", png(GREY), UPPER, SMALL), r"(?s)6.*8.*2", id="mask of another shape"),
        pytest.param(kaggle("x", png(GREY)[:50], UPPER), "cannot be read as an image", id="truncated image"),
        pytest.param(kaggle("x", b"", UPPER), "cannot be read as an image", id="empty image file"),
        pytest.param(
            kaggle("x", png(GREY), UPPER) | {"x/images/y.png": png(GREY)},
            "one image",
            id="two images in a folder",
        ),
    ],
)
def test_a_kaggle_image_that_cannot_be_used_is_left_out_and_named(
    store: Store, caplog: pytest.LogCaptureFixture, broken: Files, why: str
) -> None:
    examples, report = read_examples(store(kaggle("a", png(GREY), UPPER) | broken))
    assert [example.name for example in examples] == ["a"]
    assert report.skipped.keys() == {"x"}
    assert re.search(why, report.skipped["x"])
    assert "x is skipped" in caplog.text


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        pytest.param({"images/x.tif": tiff(GREY)}, "no label image", id="no label image"),
        pytest.param({"masks/x.tif": tiff(LABELS)}, "has no image", id="no image"),
        pytest.param(
            {"images/x.tif": tiff(GREY), "masks/x.tif": tiff(SMALL)},
            "shape (6, 8), got (2, 2)",
            id="another shape",
        ),
        pytest.param(
            {"images/x.tif": tiff(GREY), "masks/x.tif": tiff(LABELS.astype(np.float32) / 2)},
            "integers",
            id="real labels",
        ),
        pytest.param(
            {"images/x.tif": tiff(GREY), "masks/x.tif": tiff(-LABELS.astype(np.int16))},
            "-7",
            id="negative labels",
        ),
        pytest.param(
            {"images/x.tif": tiff(np.zeros((5, 6, 8), np.uint8)), "masks/x.tif": tiff(LABELS)},
            "it has 5 pages",
            id="a stack",
        ),
        pytest.param(
            {"images/x.tif": tiff(GREY)[:20], "masks/x.tif": tiff(LABELS)},
            "cannot be read as an image",
            id="truncated",
        ),
    ],
)
def test_an_image_whose_label_image_cannot_be_used_is_left_out_and_named(store: Store, broken: Files, why: str) -> None:
    good = {"images/a.tif": tiff(GREY), "masks/a.tif": tiff(LABELS)}
    examples, report = read_examples(store(good | broken))
    assert [example.name for example in examples] == ["a"]
    assert why in report.skipped["x"]


def test_a_set_without_any_image_that_can_be_used_is_an_error(store: Store) -> None:
    with pytest.raises(DataError, match=r"of 1 image, none can be used.*\n  a: no masks"):
        read_examples(store(kaggle("a", png(GREY))))


def test_an_unknown_layout_is_an_error_that_says_what_is_understood_and_what_was_found(store: Store) -> None:
    with pytest.raises(DataError, match=r"(?s)<id>/images.*masks/NAME.*labels_csv.*found 2 files, such as a\.png"):
        read_examples(store({"a.png": png(GREY), "mask_of_a.png": png(UPPER)}))


def test_an_empty_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found: nothing"):
        read_examples(tmp_path)


def test_two_sets_in_one_source_are_an_error_that_names_them(store: Store) -> None:
    files = {
        f"{part}/{what}/{name}.tif": tiff(pixels)
        for part in ("train", "test")
        for what, pixels in (("images", GREY), ("masks", LABELS))
        for name in ("a", "b")
    }
    with pytest.raises(DataError, match=r"expected one set, found 2 \(test, train\)"):
        read_examples(store(files))


def test_images_that_share_a_name_are_an_error(store: Store) -> None:
    with pytest.raises(DataError, match=r"images/a\.(tif|png) and images/a\.(tif|png) have the same name"):
        read_examples(store({"images/a.tif": tiff(GREY), "images/a.png": png(GREY), "masks/a.tif": tiff(LABELS)}))


def test_what_archivers_add_is_ignored(store: Store) -> None:
    noise = {
        "__MACOSX/a/images/._a.png": b"?",
        "a/masks/.DS_Store": b"?",
        "a/masks/._9.png": b"?",
        "a/x.txt": b"?",
        "a/images/Thumbs.db": b"?",
        "a/images/@eaDir/a.png": b"?",
        "$RECYCLE.BIN/a/images/b.png": b"?",
    }
    _, report = read_examples(store(kaggle("a", png(GREY), UPPER) | noise))
    assert (report.images, report.nuclei, report.skipped) == (1, 1, {})


def test_links_to_folders_and_to_one_mask_for_many_images_are_followed(tmp_path: Path) -> None:
    for part, content in (("images", png(GREY)), ("masks", png(LABELS))):
        (tmp_path / "store" / part).mkdir(parents=True)
        (tmp_path / "store" / part / "a.png").write_bytes(content)
        (tmp_path / "store" / part / "b.png").symlink_to("a.png")
    (tmp_path / "set").mkdir()
    for part in ("images", "masks"):
        (tmp_path / "set" / part).symlink_to(tmp_path / "store" / part)
    (tmp_path / "store" / "images" / "up").symlink_to(tmp_path)
    examples, _ = read_examples(tmp_path / "set")
    assert [example.name for example in examples] == ["a", "b"]


def test_a_missing_source_is_a_file_system_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_examples(tmp_path / "absent.zip")


def test_a_path_with_a_nul_character_is_refused() -> None:
    with pytest.raises(SettingsError, match="data: expected a path, got one with a NUL character"):
        read_examples(Path("a\0b"))


def test_a_file_that_is_no_zip_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(b"not a zip")
    with pytest.raises(DataError, match="neither a folder nor a readable zip"):
        read_examples(tmp_path / "set.zip")


def test_a_zip_with_a_flipped_byte_is_an_error_that_names_the_member(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kaggle("a", png(GREY), UPPER).items():
            archive.writestr(name, content)
    damaged = bytearray(path.read_bytes())
    damaged[60] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"damaged at a/images/a\.png"):
        read_examples(path)


GROUPS = "image_id,foreground,background,cluster,mosaic\na,white,black,f,13\nb,white,black,,\nz,white,black,f,13\n"


def test_a_groups_table_gives_kind_and_mosaic(store: Store, table: Callable[[str], Path]) -> None:
    source = store(kaggle("a", png(GREY), UPPER) | kaggle("b", png(GREY), UPPER) | kaggle("c", png(GREY), UPPER))
    examples, _ = read_examples(source, groups=table(GROUPS))
    assert [(example.category, example.field_id) for example in examples] == [
        ("f", "13"),
        ("white on black", "b"),
        ("set", "c"),
    ]


def test_a_groups_table_of_another_set_is_an_error(store: Store, table: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match="names none of the 1 images, such as q"):
        read_examples(store(kaggle("q", png(GREY), UPPER)), groups=table(GROUPS))


def test_a_groups_table_without_its_columns_is_an_error(store: Store, table: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match="expected the columns image_id, cluster, mosaic, found id, group"):
        read_examples(store(kaggle("a", png(GREY), UPPER)), groups=table("id,group\na,f\n"))


@pytest.mark.parametrize(
    "text", ["ImageId,EncodedPixels\na," + "1 1 " * 99_999 + "\n", "ImageId,EncodedPixels\na,\xe9\n"]
)
def test_a_table_that_cannot_be_parsed_is_an_error_that_names_the_line(store: Store, tmp_path: Path, text: str) -> None:
    (tmp_path / "table.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"table\.csv is not a readable CSV table near line \d"):
        read_examples(store(kaggle("a", png(GREY), UPPER)), labels_csv=tmp_path / "table.csv")


@pytest.mark.parametrize("expression", [r"^[^_]+", r"^(\d+)_"])
def test_group_by_finds_the_mosaic_in_the_name(store: Store, expression: str) -> None:
    files = {f"{what}/{name}.tif": tiff(LABELS) for what in ("images", "masks") for name in ("01_1", "01_2", "02_1")}
    examples, _ = read_examples(store(files), group_by=expression)
    assert [example.field_id for example in examples] == ["set/01", "set/01", "set/02"]


def test_group_by_that_fits_not_every_name_is_an_error(store: Store) -> None:
    with pytest.raises(DataError, match="matches nothing in 'a'"):
        read_examples(store(kaggle("a", png(GREY), UPPER)), group_by=r"^\d+")


def test_group_by_that_is_no_regular_expression_is_an_error(store: Store) -> None:
    with pytest.raises(SettingsError, match="not a regular expression"):
        read_examples(store(kaggle("a", png(GREY), UPPER)), group_by="(")


def test_the_number_of_threads_is_at_least_one(store: Store) -> None:
    with pytest.raises(SettingsError, match="threads: expected at least 1"):
        read_examples(store(kaggle("a", png(GREY), UPPER)), threads=0)


def test_reading_needs_no_torch() -> None:
    run_script("import nucleus_unet.data.dataset, sys; assert 'torch' not in sys.modules")


@pytest.fixture(scope="module")
def real_set(real_data: Path) -> tuple[list[Example], ReadReport]:
    folder = real_data / "dsb2018"
    return read_examples(folder / "stage1_train.zip", groups=folder / "groups.csv")


def test_the_real_training_set_agrees_with_its_table(
    real_data: Path, real_set: tuple[list[Example], ReadReport]
) -> None:
    folder = real_data / "dsb2018"
    examples, report = real_set
    with (folder / "stage1_train_labels.csv").open(newline="") as file:
        rows = Counter(row["ImageId"] for row in csv.DictReader(file))
    assert report.images == len(examples) == 615
    assert {example.name: int(example.labels.max()) for example in examples} == rows
    assert report.nuclei == rows.total() == 26_776
    assert (len(report.overlaps), sum(report.overlaps.values())) == (4, 6)
    assert (report.skipped, report.empty_masks, report.hidden_masks) == ({}, {}, {})
    assert Counter(example.category for example in examples)["f"] == 402


def test_the_real_masks_and_their_run_length_encodings_are_the_same(
    real_data: Path, real_set: tuple[list[Example], ReadReport]
) -> None:
    folder = real_data / "dsb2018"
    from_files, report = real_set
    from_table, _ = read_examples(folder / "stage1_train.zip", labels_csv=folder / "stage1_train_labels.csv")
    for one, other in zip(from_files, from_table, strict=True):
        if one.name not in report.overlaps:
            np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize(
    ("file", "images", "nuclei", "mosaics"),
    [
        ("dsb2018/stardist_test.zip", 50, 2460, 50),
        ("extra/tnbc.zip", 41, 3079, 8),
        ("extra/bbbc039.zip", 54, 6612, 54),
        ("extra/bitdepth.zip", 56, 3332, 4),
        ("extra/aitslab.zip", 50, 2096, 50),
    ],
)
def test_real_sets_of_label_images_are_read(real_data: Path, file: str, images: int, nuclei: int, mosaics: int) -> None:
    examples, report = read_examples(real_data / file, group_by="^[^_]+" if mosaics < images else None)
    assert (report.images, report.nuclei) == (images, nuclei)
    assert len({example.field_id for example in examples}) == mosaics


def test_the_labelled_plane_of_images_with_several_is_chosen(store: Store) -> None:
    stack = np.stack([np.zeros_like(GREY), GREY, GREY // 2])
    source = store({"images/a.tif": tiff(stack, imagej=True, metadata={"axes": "CYX"}), "masks/a.tif": tiff(LABELS)})
    with pytest.raises(DataError, match="3 channels"):
        read_examples(source)
    (chosen,), _ = read_examples(source, selection=Selection(channel=1))
    np.testing.assert_array_equal(chosen.image, GREY)
    (largest,), _ = read_examples(source, selection=Selection(channel=(1, 2), combine="max"))
    np.testing.assert_array_equal(largest.image, GREY)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32, np.uint32, np.float16])
def test_images_of_other_dtypes_are_normalised_as_predict_does(store: Store, dtype: type[np.generic]) -> None:
    pixels = np.random.default_rng(0).normal(500, 90, (40, 50)).astype(dtype)
    pixels[3, 4] = 30_000  # a hot pixel
    (example,), _ = read_examples(
        store({"images/a.tif": tiff(pixels), "masks/a.tif": tiff(np.ones((40, 50), np.uint8))})
    )
    assert example.image.dtype == np.uint16
    np.testing.assert_allclose(normalise_image(example.image), normalise_image(pixels.astype(np.float32)), atol=2e-4)


def test_an_image_that_is_not_finite_is_skipped(store: Store) -> None:
    pixels = np.full(SHAPE, np.nan, np.float32)
    with pytest.raises(DataError, match="expected finite numbers"):
        read_examples(store({"images/a.tif": tiff(pixels), "masks/a.tif": tiff(LABELS)}))
