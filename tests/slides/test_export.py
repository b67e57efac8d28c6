"""What is exported of a finished slide: every format holds the very nuclei of its label image."""

from __future__ import annotations

import csv
import json
import math
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import roifile
import yaozarrs
import zarr
from helpers.slide_results import LABELS, PICTURE, SHAPE, Run, collected, written
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet import _core
from nucleus_unet.cli import app
from nucleus_unet.errors import DataError, MissingExtraError, SettingsError
from nucleus_unet.exports.names import ANNOTATED_FORMATS, CELL_FORMATS, FORMATS
from nucleus_unet.exports.nucleus_table import NucleusTable
from nucleus_unet.exports.rle import encode_outline
from nucleus_unet.masks import labels_to_kaggle
from nucleus_unet.slides.export import export_slide
from nucleus_unet.slides.plan import PLAN
from nucleus_unet.slides.writers import outlines as results_outlines
from nucleus_unet.slides.writers.results import LABELS as LABELS_FILE
from nucleus_unet.slides.writers.results import TABLE
from numpy.typing import NDArray
from pycocotools.coco import COCO
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return written(tmp_path_factory.mktemp("results") / "slide-7")


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    export_slide(run.folder, out, formats=[name for name in FORMATS if name not in (*CELL_FORMATS, *ANNOTATED_FORMATS)])
    return out


def test_exported_outlines_are_those_of_the_run(run: Run, exported: Path) -> None:
    assert list(collected(exported, "nuclei.geojson")) == list(collected(run.folder, "nuclei.geojson.gz"))


def test_files_of_an_earlier_larger_result_do_not_stay(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(results_outlines, "MAX_FILE_BYTES", 50_000)
        paths = export_slide(run.folder, tmp_path, formats=["geojson"])
    assert len(paths) > 3
    assert export_slide(run.folder, tmp_path, formats=["geojson"]) == [tmp_path / "nuclei.geojson"]
    assert list(tmp_path.iterdir()) == [tmp_path / "nuclei.geojson"]


def test_run_lengths_are_those_of_the_label_image(exported: Path) -> None:
    with (exported / "nuclei.rle.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["ImageId"] for row in rows} == {"slide-7"}
    assert [row["EncodedPixels"] for row in rows] == list(labels_to_kaggle(LABELS).values())


@settings(max_examples=100)
@given(hnp.arrays(np.uint32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 1)))
def test_an_outline_encodes_as_its_mask_does(mask: NDArray[np.uint32]) -> None:
    for polygons in _core.contours(mask):
        assert encode_outline(polygons, mask.shape[0]) == labels_to_kaggle(mask)[1]


def test_run_lengths_count_beyond_32_bits() -> None:
    far = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]], np.int32) + np.array([90_000, 70_000], np.int32)
    assert encode_outline([[far]], 100_000) == f"{90_000 * 100_000 + 70_000 + 1} 1"


def test_a_slide_without_nuclei_keeps_a_line_in_the_csv(tmp_path: Path) -> None:
    written(tmp_path / "empty", np.zeros((40, 50), np.uint32), PICTURE[:40, :50])
    export_slide(tmp_path / "empty", tmp_path, formats=["rle", "coco"], name="x.svs")
    assert (tmp_path / "nuclei.rle.csv").read_text() == "ImageId,EncodedPixels\nx.svs,\n"
    coco = json.loads((tmp_path / "nuclei.coco.json").read_text())
    assert coco["images"] == [{"id": 1, "file_name": "x.svs", "height": 40, "width": 50}]
    assert coco["annotations"] == []


def test_the_roi_set_names_every_nucleus_and_holds_its_box(exported: Path, run: Run) -> None:
    rois = {int(roi.name): roi for roi in roifile.roiread(exported / "nuclei.roi.zip")}
    assert list(rois) == list(range(1, LABELS.max() + 1))
    _, _, boxes, _, _ = _core.measure(LABELS)
    found = [(roi.top, roi.left, roi.bottom, roi.right) for roi in rois.values()]
    np.testing.assert_array_equal(found, boxes)


def test_cells_of_a_run_without_cells_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there are no cells: repeat the same run with expand= \(--expand\)"):
        export_slide(run.folder, tmp_path / "out", formats=["geojson", "cells"])
    assert not (tmp_path / "out").exists()


def test_pycocotools_reads_the_very_masks(exported: Path, run: Run) -> None:
    coco = COCO(exported / "nuclei.coco.json")
    annotations = coco.loadAnns(coco.getAnnIds())
    assert len(annotations) == LABELS.max()
    assert coco.loadCats(coco.getCatIds())[0]["name"] == "nucleus"
    drawn_again = np.zeros(SHAPE, np.uint32)
    for annotation in annotations:
        mask = coco.annToMask(annotation).astype(bool)
        assert annotation["area"] == mask.sum()
        left, top, width, height = annotation["bbox"]
        assert mask[top : top + height, left : left + width].sum() == mask.sum()
        drawn_again[mask] = annotation["id"]
    np.testing.assert_array_equal(drawn_again, LABELS)


@pytest.mark.parametrize(("name", "version", "zarr_format"), [("omezarr", "0.5", 3), ("omezarr0.4", "0.4", 2)])
def test_ome_zarr_is_valid_and_holds_every_level(exported: Path, name: str, version: str, zarr_format: int) -> None:
    path = exported / f"nuclei{FORMATS[name].suffixes[0]}"
    group = zarr.open_group(path, mode="r")
    assert group.metadata.zarr_format == zarr_format
    attributes = dict(group.attrs)
    yaozarrs.validate_ome_object(attributes)
    facts = attributes["ome"] if version == "0.5" else attributes
    (multiscale,) = facts["multiscales"]
    assert "image-label" in facts
    assert [axis["unit"] for axis in multiscale["axes"]] == ["micrometer", "micrometer"]
    for number, dataset in enumerate(multiscale["datasets"]):
        assert dataset["coordinateTransformations"] == [{"type": "scale", "scale": [0.25 * 2**number] * 2}]
        np.testing.assert_array_equal(group[dataset["path"]][:], LABELS[:: 2**number, :: 2**number])


def test_the_layout_of_ome_zarr_is_valid(exported: Path) -> None:
    yaozarrs.validate_zarr_store(exported / "nuclei.ome.zarr")


def test_an_export_is_replaced_by_the_next_but_a_foreign_folder_is_not(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        assert export_slide(run.folder, tmp_path, formats=["omezarr"]) == [tmp_path / "nuclei.ome.zarr"]
    assert [path.name for path in tmp_path.iterdir()] == ["nuclei.ome.zarr"]
    zarr.open_group(tmp_path / "nuclei-0.4.ome.zarr", mode="w").attrs["mine"] = "an image of mine"
    with pytest.raises(SettingsError, match=r"nuclei-0\.4\.ome\.zarr is not a zarr group of labels"):
        export_slide(run.folder, tmp_path, formats=["omezarr0.4"])


def test_an_export_that_fails_leaves_nothing(run: Run, tmp_path: Path) -> None:
    def interrupted(what: str) -> Any:
        def track(items: Any) -> Iterator[Any]:
            yield items[0]
            raise KeyboardInterrupt

        return track

    for name in ("csv", "geojson", "coco", "rle", "omezarr", "omezarr0.4"):  # the others are copies
        with pytest.raises(KeyboardInterrupt):
            export_slide(run.folder, tmp_path, formats=[name], track=interrupted)
    assert list(tmp_path.iterdir()) == []


def test_formats_and_folders_that_are_none_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"format: expected some of tif, .*, got txt"):
        export_slide(run.folder, tmp_path, formats=["rle", "txt"])
    with pytest.raises(SettingsError, match="expected the folder of a finished run"):
        export_slide(tmp_path, tmp_path, formats=["rle"])


@pytest.mark.parametrize(("name", "chosen"), [(PLAN, "rle"), (TABLE, "coco"), (LABELS_FILE, "omezarr")])
def test_damaged_results_are_named_and_nothing_is_written(run: Run, tmp_path: Path, name: str, chosen: str) -> None:
    folder, out = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(run.folder, folder)
    (folder / name).write_text("{")
    with pytest.raises(DataError, match=f"{name} is damaged"):
        export_slide(folder, out, formats=[chosen])
    assert not out.exists() or list(out.iterdir()) == []


@pytest.mark.parametrize(
    "said", [{"height": "tall"}, {"height": -5}, {"width": 10**30}, {"width": True}, {"mpp": "fine"}, {"mpp": -1.0}]
)
def test_a_plan_that_cannot_be_a_slides_is_named(run: Run, tmp_path: Path, said: dict[str, Any]) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    (folder / PLAN).write_text(json.dumps(json.loads((folder / PLAN).read_text()) | said))
    with pytest.raises(DataError, match=rf"{PLAN} is damaged: expected a slide's height, width and mpp \(got"):
        export_slide(folder, tmp_path / "out", formats=["rle"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "chosen"), [(TABLE, "coco"), (LABELS_FILE, "omezarr")])
def test_results_whose_bytes_are_damaged_are_named_and_nothing_is_written(
    run: Run, tmp_path: Path, name: str, chosen: str
) -> None:
    folder, out = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(run.folder, folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} is damaged"):
        export_slide(folder, out, formats=[chosen])
    assert not out.exists() or list(out.iterdir()) == []


def ring(*vertices: tuple[float, float]) -> bytes:
    """A polygon of one ring in well-known binary."""
    pairs = b"".join(struct.pack("<dd", *vertex) for vertex in vertices)
    return struct.pack("<BIII", 1, 3, 1, len(vertices)) + pairs


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("geometry", None),
        ("geometry", b""),
        ("geometry", struct.pack("<BII", 1, 3, 0)),
        ("geometry", struct.pack("<BIdd", 1, 1, 3.0, 4.0)),
        ("geometry", ring((1, 0))),
        ("geometry", ring((1, 0), (1, 1), (0, 1), (0, 0))),
        ("geometry", ring((1, 0), (2, 1), (0, 1), (0, 0), (1, 0))),
        ("geometry", ring((1, -2), (1, -1), (0, -1), (0, -2), (1, -2))),
        ("geometry", ring((2**31, 0), (2**31, 1), (0, 1), (0, 0), (2**31, 0))),
        ("geometry", ring((math.nan, 0), (1, 1), (0, 1), (0, 0), (math.nan, 0))),
        ("probability", None),
        ("probability", math.nan),
        ("probability", 2.0),
        ("quality", None),
        ("quality", -0.5),
        ("quality", 2.0),
        ("intensity", None),
        ("area", None),
        ("area", -5),
    ],
)
@pytest.mark.parametrize("chosen", ["geojson", "rle", "coco"])
def test_rows_that_are_no_nuclei_are_told_and_nothing_is_written(
    run: Run, tmp_path: Path, column: str, value: object, chosen: str
) -> None:
    folder, out = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(run.folder, folder)
    table = pyarrow.parquet.read_table(folder / TABLE)
    values = table[column].to_pylist()
    values[3] = value
    place = table.column_names.index(column)
    changed = table.set_column(place, column, pyarrow.array(values, table.schema.field(column).type))
    pyarrow.parquet.write_table(changed, folder / TABLE)
    with pytest.raises(DataError, match=f"{TABLE} is damaged"):
        export_slide(folder, out, formats=[chosen])
    assert list(out.iterdir()) == []


def test_columns_of_another_type_are_told(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    table = pyarrow.parquet.read_table(folder / TABLE)
    areas = pyarrow.array(list(map(str, table["area"].to_pylist())))
    table = table.set_column(table.column_names.index("area"), "area", areas)
    pyarrow.parquet.write_table(table, folder / TABLE)
    with pytest.raises(DataError, match=f"{TABLE} is damaged"):
        export_slide(folder, tmp_path / "out", formats=["coco"])


def test_no_file_of_outlines_takes_its_name_before_all_do(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_outlines, "MAX_FILE_BYTES", 2000)
    export_slide(run.folder, tmp_path, formats=["geojson"])
    earlier = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(earlier) > 2
    monkeypatch.setattr(results_outlines, "MAX_FILE_BYTES", 3000)

    def interrupted(nuclei: NucleusTable) -> Iterator[bytes]:
        yield from features(nuclei)[:30]
        raise KeyboardInterrupt

    features = results_outlines.table_features
    monkeypatch.setattr(results_outlines, "table_features", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_slide(run.folder, tmp_path, formats=["geojson"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == earlier


def test_a_table_of_another_run_is_not_exported(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**summary, "nuclei": summary["nuclei"] + 1}))
    with pytest.raises(DataError, match=f"{TABLE} is damaged: it does not hold as many nuclei as the run found"):
        export_slide(folder, tmp_path / "out", formats=["rle"])
    assert list((tmp_path / "out").iterdir()) == []


def test_without_its_extra_an_export_says_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[zarr\]'"):
        export_slide(run.folder, tmp_path, formats=["rle", "omezarr"])
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_exports_and_says_where_to(run: Run, tmp_path: Path) -> None:
    arguments = ["export", str(run.folder), "--format", "rle, coco", "--out", str(tmp_path), "--name", "a.svs"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert result.output.split() == [str(tmp_path / "nuclei.rle.csv"), str(tmp_path / "nuclei.coco.json")]
    assert "\na.svs," in (tmp_path / "nuclei.rle.csv").read_text()
