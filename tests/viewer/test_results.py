from __future__ import annotations

import shutil
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from helpers.classifiers import threshold_classifier
from helpers.slide_results import LABELS, PICTURE, written
from helpers.stacks import draw_stack, write_hyperstack
from nucleus_unet.errors import DataError, NucleusError, SettingsError
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.source import SlideSource
from nucleus_unet.viewer.opened import OpenedResult
from nucleus_unet.viewer.picture import Shown
from nucleus_unet.viewer.pyramid import Tile
from nucleus_unet.viewer.results import find_results
from numpy.typing import NDArray


@pytest.fixture
def images(tmp_path: Path, discs: NDArray[np.uint8]) -> Path:
    """Folder of two images, one with a name that is not ASCII."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, image in (("a.png", discs), ("größe µ.png", discs[:64])):
        (folder / name).write_bytes(bytes(imagecodecs.png_encode(np.ascontiguousarray(image))))
    return folder


def opened(folder: Path, number: int = 0, *, image: Path | None = None) -> OpenedResult:
    return OpenedResult(find_results(folder, image=image)[number])


def test_a_folder_run_lists_its_images_with_their_counts(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    run = segmenter.predict_files(images, out=tmp_path / "out", formats=["tif", "csv"])
    found = find_results(tmp_path / "out")
    assert [(each.name, each.nuclei) for each in found] == [(row.results.name, row.nuclei) for row in run.files]
    assert [each.image and each.image.name for each in found] == ["a.png", "größe µ.png"]


@pytest.mark.parametrize("formats", [["tif", "csv"], ["tif", "geojson"], ["tif", "parquet"], ["omezarr"]], ids="+".join)
def test_the_area_of_a_nucleus_is_the_same_from_every_format(
    formats: list[str], images: Path, tmp_path: Path, segmenter: Segmenter
) -> None:
    segmenter.predict_files(images, out=tmp_path / "out", formats=formats)
    truth = segmenter.predict(images / "a.png").table
    table = opened(tmp_path / "out").table
    assert table is not None
    assert table.column("area")[1:].tolist() == truth["area"].tolist()
    row = table.row(2)
    assert row is not None
    assert (row["label"], row["left"], row["row"]) == (2, truth["left"][1], pytest.approx(truth["row"][1]))


@pytest.mark.parametrize("table", ["csv", "parquet"])
def test_the_class_of_a_nucleus_is_in_its_row_and_its_probability_is_a_measure(
    table: str, images: Path, tmp_path: Path, segmenter: Segmenter
) -> None:
    classifier = threshold_classifier()
    segmenter.predict_files(images, out=tmp_path / "out", formats=["tif", table], classifier=classifier)
    truth = segmenter.predict(images / "a.png", classifier=classifier).table
    shown = opened(tmp_path / "out").table
    assert shown is not None
    assert "class" not in shown.names
    assert shown.column("class_probability_dim")[1:] == pytest.approx(truth["class_probability_dim"])
    row = shown.row(2)
    assert row is not None
    assert (row["class"], row["area"]) == (truth["class"][1], truth["area"][1])


def test_results_without_a_label_image_say_what_to_run(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    segmenter.predict_files(images, out=tmp_path / "out", formats=["csv"])
    facts = opened(tmp_path / "out").facts()
    assert "tif among --format" in facts["problems"][0]
    assert ("area" in facts["measures"], facts["labels"], len(facts["channels"])) == (True, False, 1)


def test_an_image_that_was_not_segmented_is_listed_with_a_reason(
    images: Path, tmp_path: Path, segmenter: Segmenter
) -> None:
    (images / "damaged.png").write_bytes((images / "a.png").read_bytes()[:60])
    segmenter.predict_files(images, out=tmp_path / "out", formats=["tif"])
    bad = next(each for each in find_results(tmp_path / "out") if each.name == "damaged")
    assert (bad.nuclei, "summary.csv" in bad.problem) == (None, True)


@pytest.mark.parametrize("table", ["csv", "parquet"])
def test_every_plane_of_a_stack_is_one_image_of_the_list(tmp_path: Path, segmenter: Segmenter, table: str) -> None:
    stack = draw_stack(times=3, planes=2)
    path = write_hyperstack(tmp_path / "stack.tif", stack, "OME")
    run = segmenter.predict(path, out=tmp_path / "out", time="1:3", z="all", channel="DAPI", formats=["tif", table])
    found = find_results(tmp_path / "out")
    assert [each.name for each in found] == [
        "time 1, plane 0", "time 1, plane 1", "time 2, plane 0", "time 2, plane 1",
    ]  # fmt: skip
    assert [each.nuclei for each in found] == [each.nuclei for each in run.planes]
    last = OpenedResult(found[3])
    assert last.problems == []
    assert last.table is not None
    assert len(last.table.column("area")) == run.planes[3].nuclei + 1
    assert [each["name"] for each in last.facts()["channels"] if each["segmented"]] == ["DAPI"]


def test_a_slide_names_its_image(tmp_path: Path, segmenter: Segmenter, discs: NDArray[np.uint8]) -> None:
    (tmp_path / "slide.png").write_bytes(bytes(imagecodecs.png_encode(discs)))
    segmenter.predict_slide(tmp_path / "slide.png", out=tmp_path / "out", mpp=0.5, expand=3)
    (found,) = find_results(tmp_path / "out")
    assert found.image == tmp_path / "slide.png"
    facts = OpenedResult(found).facts()
    assert (facts["problems"], facts["pixel_size"], facts["cells"]) == ([], 0.5, True)


def test_a_slide_that_is_gone_is_shown_by_the_thumbnail_of_its_run(
    tmp_path: Path, segmenter: Segmenter, discs: NDArray[np.uint8]
) -> None:
    (tmp_path / "slide.png").write_bytes(bytes(imagecodecs.png_encode(discs)))
    segmenter.predict_slide(tmp_path / "slide.png", out=tmp_path / "out", mpp=0.5)
    (tmp_path / "slide.png").unlink()
    result = opened(tmp_path / "out")
    content = result.picture_tile(Tile(0, 0, 0), [Shown(0, 0, 255, np.full(3, 255, np.float32))])
    assert content is not None
    shown = imagecodecs.jpeg8_decode(content)[..., 0].astype(float)
    assert shown.shape == discs.shape
    assert np.corrcoef(shown.ravel(), discs.ravel())[0, 1] > 0.99


def test_a_moved_image_is_found_where_it_is_said_to_be(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    segmenter.predict_files(images, out=tmp_path / "out", formats=["tif"])
    images.rename(tmp_path / "moved")
    assert "not at" in opened(tmp_path / "out").facts()["problems"][0]
    assert opened(tmp_path / "out", image=tmp_path / "moved").facts()["problems"] == []


def test_images_of_one_name_are_found_in_their_folders(
    tmp_path: Path, segmenter: Segmenter, discs: NDArray[np.uint8]
) -> None:
    for day, height in (("day1", 100), ("day2", 64)):
        (tmp_path / "images" / day).mkdir(parents=True)
        imagecodecs.imwrite(tmp_path / "images" / day / "a.png", np.ascontiguousarray(discs[:height]))
    segmenter.predict_files(tmp_path / "images", out=tmp_path / "out", formats=["tif"])
    (tmp_path / "images").rename(tmp_path / "moved")
    found = find_results(tmp_path / "out", image=tmp_path / "moved")
    assert [each.image for each in found] == [tmp_path / "moved" / day / "a.png" for day in ("day1", "day2")]
    assert [OpenedResult(each).problems for each in found] == [[], []]


def test_several_images_cannot_be_one_file(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    segmenter.predict_files(images, out=tmp_path / "out", formats=["tif"])
    with pytest.raises(SettingsError, match="give the folder"):
        find_results(tmp_path / "out", image=images / "a.png")


def test_another_image_in_place_of_the_one_is_told(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    segmenter.predict_files(images, out=tmp_path / "out", formats=["tif"])
    shutil.copy(images / "größe µ.png", images / "a.png")
    facts = opened(tmp_path / "out").facts()
    assert "another image" in facts["problems"][0]
    assert (facts["channels"], facts["labels"]) == ([], True)


def test_a_slide_that_is_gone_leaves_the_overview_and_the_labels(tmp_path: Path) -> None:
    run = written(tmp_path / "out")
    SlideSource(str(tmp_path / "gone.svs")).write(run.folder)
    facts = opened(run.folder).facts()
    assert "gone.svs" in facts["problems"][0]
    assert [each["name"] for each in facts["channels"]] == ["overview"]
    assert (facts["height"], facts["width"], facts["labels"]) == (*PICTURE.shape, True)


def test_results_without_the_name_of_their_image_say_what_to_give(tmp_path: Path) -> None:
    run = written(tmp_path / "out")
    assert "--image" in opened(run.folder).facts()["problems"][0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plan.json", b"{"),
        ("plan.json", b'{"mpp": "wide"}'),
        ("source.json", b"[]"),
        ("source.json", b'{"image": "a", "selection": {"w": 1}}'),
    ],
)
def test_a_damaged_description_of_a_slide_is_one_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    run = written(tmp_path / "out")
    (run.folder / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        find_results(run.folder)


@pytest.mark.parametrize("name", ["labels.tif", "nuclei.parquet"])
def test_a_damaged_file_of_a_slide_costs_only_itself(tmp_path: Path, name: str) -> None:
    run = written(tmp_path / "out")
    imagecodecs.imwrite(tmp_path / "slide.png", PICTURE)
    SlideSource(str(tmp_path / "slide.png")).write(run.folder)
    (run.folder / name).write_bytes((run.folder / name).read_bytes()[:100])
    facts = opened(run.folder).facts()
    assert sum(name in each for each in facts["problems"]) >= 1
    assert len(facts["channels"]) == 1


def test_a_table_whose_labels_are_not_1_to_n_is_damaged(images: Path, tmp_path: Path, segmenter: Segmenter) -> None:
    segmenter.predict_files(images, out=tmp_path / "out", formats=["tif", "csv"])
    lines = (tmp_path / "out" / "a.csv").read_text().splitlines()
    lines[1] = lines[1].replace("1,", "4000000000,", 1)
    (tmp_path / "out" / "a.csv").write_text("\n".join(lines))
    table = opened(tmp_path / "out").table
    assert table is not None
    with pytest.raises(DataError, match="labels"):
        table.column("area")


def test_what_is_no_result_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "empty", tmp_path / "file", tmp_path / "absent"):
        with pytest.raises(NucleusError, match="--out") as caught:
            find_results(path)
        assert "\n" not in str(caught.value)


def test_a_slide_that_is_not_finished_is_not_shown(tmp_path: Path) -> None:
    run = written(tmp_path / "out")
    (run.folder / "summary.json").unlink()
    with pytest.raises(SettingsError, match="repeat the same"):
        find_results(run.folder)


def test_labels_of_a_slide_are_read_at_every_level(tmp_path: Path) -> None:
    run = written(tmp_path / "out")
    result = opened(run.folder)
    assert result.facts()["levels"] == 4  # 2,100 pixels are 263 at the last
    assert (run.plan.height, run.plan.width) == LABELS.shape
