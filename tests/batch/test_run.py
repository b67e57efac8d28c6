"""A run over many images: what it writes, how it resumes, and what it refuses."""

from __future__ import annotations

import csv
import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.classifiers import threshold_classifier
from helpers.commands import results_in
from helpers.images import draw_discs
from helpers.microscopes import write_lif
from nucleus_unet.batch import run as run_module
from nucleus_unet.batch.summary import BatchResult
from nucleus_unet.errors import CancelledError, DataError, MissingExtraError, SettingsError
from nucleus_unet.model.scale_score import ScaleScore
from nucleus_unet.segmentation import Segmentation
from nucleus_unet.segmenter import Segmenter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of three images with 2, 1 and 0 nuclei."""
    (tmp_path / "in").mkdir()
    for name, discs in (("a", [(20, 25, 6), (50, 60, 7)]), ("b", [(30, 30, 6)])):
        tifffile.imwrite(tmp_path / "in" / f"{name}.tif", draw_discs((70, 90), discs))
    tifffile.imwrite(tmp_path / "in" / "c.tif", np.zeros((70, 90), np.uint8))
    return tmp_path / "in"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Counting:
    """Counts the images that a segmenter is asked for."""

    def __init__(self, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        real = Segmenter.predict

        def predict(its: Segmenter, image: Any, **options: Any) -> Any:
            self.names.append(Path(image).name)
            return real(its, image, **options)

        monkeypatch.setattr(Segmenter, "predict", predict)


@pytest.fixture
def asked(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(segmenter, monkeypatch)


def predict(segmenter: Segmenter, folder: Path, out: Path, **options: Any) -> BatchResult:
    return segmenter.predict_files(folder, out=out, **{"formats": ["csv"], **options})


def test_the_results_are_those_of_single_images(segmenter: Segmenter, folder: Path, out: Path) -> None:
    predict(segmenter, folder, out, formats=["tif", "csv"])
    assert results_in(out) == {f"{name}.{suffix}" for name in "abc" for suffix in ("tif", "csv")}
    for name in "abc":
        alone = segmenter.predict(folder / f"{name}.tif").labels
        assert np.array_equal(tifffile.imread(out / f"{name}.tif"), alone)


def test_the_summary_has_a_row_for_each_image_in_order(segmenter: Segmenter, folder: Path, out: Path) -> None:
    (folder / "b2.png").write_text("not a picture")
    run = predict(segmenter, folder, out)
    assert [(Path(row["file"]).name, row["nuclei"], bool(row["error"])) for row in rows(out)] == [
        ("a.tif", "2", False),
        ("b.tif", "1", False),
        ("b2.png", "", True),
        ("c.tif", "0", False),
    ]
    areas = segmenter.predict(folder / "a.tif").table["area"]
    assert float(rows(out)[0]["median_area"]) == np.median(areas)
    assert rows(out)[3]["median_area"] == ""
    assert (run.nuclei, len(run.failures)) == (3, 1)
    assert str(folder / "b2.png") in run.failures[0].error


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_results_do_not_depend_on_the_number_of_workers(
    segmenter: Segmenter, folder: Path, out: Path, workers: int
) -> None:
    predict(segmenter, folder, out, workers=workers)
    predict(segmenter, folder, out.with_name("other"), workers=3)
    for name in results_in(out):
        assert (out / name).read_bytes() == (out.with_name("other") / name).read_bytes()


def test_a_finished_run_does_nothing(segmenter: Segmenter, folder: Path, out: Path, asked: Counting) -> None:
    first = predict(segmenter, folder, out)
    before = (out / "summary.csv").read_bytes()
    asked.names.clear()
    again = predict(segmenter, folder, out)
    assert asked.names == []
    assert again.resumed == 3
    assert again.files == first.files
    assert (out / "summary.csv").read_bytes() == before


def test_only_new_changed_failed_and_lost_images_are_segmented(
    segmenter: Segmenter, folder: Path, out: Path, asked: Counting
) -> None:
    for name in "de":
        tifffile.imwrite(folder / f"{name}.tif", draw_discs((70, 90), []))
    (folder / "failed.png").write_text("not a picture")
    predict(segmenter, folder, out)
    tifffile.imwrite(folder / "b.tif", draw_discs((70, 91), []))  # changed
    (out / "d.csv").unlink()  # lost
    tifffile.imwrite(folder / "new.tif", draw_discs((70, 90), []))
    asked.names.clear()
    run = predict(segmenter, folder, out)
    assert sorted(asked.names) == ["b.tif", "d.tif", "failed.png", "new.tif"]
    assert run.changed == [folder / "b.tif"]
    assert len(rows(out)) == 7


def test_another_format_is_added_and_the_earlier_ones_stay(
    segmenter: Segmenter, folder: Path, out: Path, asked: Counting
) -> None:
    predict(segmenter, folder, out)
    predict(segmenter, folder, out, formats=["geojson"])
    assert results_in(out) == {f"{name}.{suffix}" for name in "abc" for suffix in ("csv", "geojson")}
    asked.names.clear()
    predict(segmenter, folder, out, formats=["geojson", "csv"])
    assert asked.names == []


def test_a_run_with_measures_and_classes_is_resumed(
    segmenter: Segmenter, folder: Path, out: Path, asked: Counting
) -> None:
    options: dict[str, Any] = {"measure": "shape,intensity", "classifier": threshold_classifier(), "formats": ["csv"]}
    segmenter.predict_files(folder, out=out, **options)
    again = segmenter.predict_files(folder, out=out, **options)
    assert (again.resumed, len(asked.names)) == (3, 3)
    other = threshold_classifier(limit=50.0)
    with pytest.raises(SettingsError, match=r"other settings: classifier was [0-9a-f]{64}, now is [0-9a-f]{64}\."):
        segmenter.predict_files(folder, out=out, **{**options, "classifier": other})


def test_other_settings_are_refused_with_what_differs(segmenter: Segmenter, folder: Path, out: Path) -> None:
    predict(segmenter, folder, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(SettingsError, match=r"threshold was None, now is 0\.3.*--overwrite"):
        predict(segmenter, folder, out, threshold=0.3)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_run_without_any_result_does_not_keep_its_settings(segmenter: Segmenter, tmp_path: Path, out: Path) -> None:
    image = tmp_path / "three channels.tif"
    tifffile.imwrite(image, np.zeros((5, 40, 40), np.uint8), metadata={"axes": "CYX"}, imagej=True)
    assert len(predict(segmenter, image, out).failures) == 1
    assert not predict(segmenter, image, out, channel=0).failures


def test_the_results_of_a_killed_run_keep_its_settings(segmenter: Segmenter, folder: Path, out: Path) -> None:
    predict(segmenter, folder, out)
    record = out / "nucleus-unet-run" / "record.jsonl"
    record.write_text("".join(line for line in record.read_text().splitlines(keepends=True) if '"done"' not in line))
    with pytest.raises(SettingsError, match=r"threshold was None, now is 0\.3"):
        predict(segmenter, folder, out, threshold=0.3)


def test_a_missing_image_is_told_without_the_number_of_the_error(segmenter: Segmenter, out: Path) -> None:
    (row,) = predict(segmenter, Path("not there.tif"), out).files
    assert row.error == "not there.tif: there is no such file"


def test_options_that_do_not_change_labels_may_change(
    segmenter: Segmenter, folder: Path, out: Path, asked: Counting
) -> None:
    predict(segmenter, folder, out)
    asked.names.clear()
    predict(segmenter, folder, out, workers=1, tile=64, progress=False, cancel=threading.Event())
    assert asked.names == []


def test_overwrite_begins_anew(segmenter: Segmenter, folder: Path, out: Path, asked: Counting) -> None:
    predict(segmenter, folder, out)
    asked.names.clear()
    predict(segmenter, folder, out, threshold=0.3, overwrite=True)
    assert len(asked.names) == 3
    predict(segmenter, folder, out, threshold=0.3)
    assert len(asked.names) == 3


def test_a_run_that_begins_anew_leaves_no_results_of_other_settings(
    segmenter: Segmenter, folder: Path, out: Path, asked: Counting
) -> None:
    predict(segmenter, folder, out, formats=["csv", "geojson", "omezarr", "anndatazarr"])
    predict(segmenter, folder / "a.tif", out, threshold=0.3, overwrite=True)
    assert {path.name for path in out.glob("a.*")} == {"a.csv"}
    assert "b.geojson" in results_in(out)
    asked.names.clear()
    predict(segmenter, folder, out, threshold=0.3)
    assert sorted(asked.names) == ["b.tif", "c.tif"]


def test_a_damaged_record_is_told_and_can_be_begun_anew(segmenter: Segmenter, folder: Path, out: Path) -> None:
    predict(segmenter, folder, out)
    (out / "nucleus-unet-run" / "record.jsonl").write_text("damaged\n")
    with pytest.raises(DataError, match="damaged in line 1"):
        predict(segmenter, folder, out)
    assert predict(segmenter, folder, out, overwrite=True).nuclei == 3


def test_names_stay_when_files_are_added(segmenter: Segmenter, folder: Path, out: Path, asked: Counting) -> None:
    predict(segmenter, folder, out)
    np.save(folder / "A.npy", np.zeros((9, 9), np.uint8))
    asked.names.clear()
    predict(segmenter, folder, out)
    assert asked.names == ["A.npy"]
    assert results_in(out) == {"a.csv", "b.csv", "c.csv", "A.npy.csv"}


def test_results_in_the_folder_of_the_images_never_feed_the_next_run(segmenter: Segmenter, folder: Path) -> None:
    formats = ["tif", "png", "csv", "geojson", "omezarr"]
    first = predict(segmenter, folder, folder / "r1", formats=formats)
    second = predict(segmenter, folder, folder / "deep" / "r2", formats=formats)
    assert [each.file for each in second.files] == [each.file for each in first.files]
    assert {each.reason for each in second.passed_over} == {"results of nucleus-unet"}
    third = predict(segmenter, folder, folder, formats=["png", "csv"])
    assert predict(segmenter, folder, folder, formats=["png", "csv"]).resumed == 3
    assert third.nuclei == first.nuclei


def test_a_result_that_another_program_wrote_again_is_still_a_result(
    segmenter: Segmenter, folder: Path, out: Path
) -> None:
    predict(segmenter, folder, folder / "r1", formats=["tif"])
    tifffile.imwrite(folder / "r1" / "a.tif", np.eye(70, dtype=np.uint16), software="ImageJ")  # corrected by hand
    assert len(predict(segmenter, folder, out).files) == 3


def test_a_file_that_is_no_result_is_never_replaced(segmenter: Segmenter, folder: Path) -> None:
    (folder / "b.csv").write_text("my own notes")
    with pytest.raises(SettingsError, match=r"b\.csv is there already"):
        predict(segmenter, folder, folder)
    assert (folder / "b.csv").read_text() == "my own notes"
    assert not (folder / "a.csv").exists()
    predict(segmenter, folder, folder, overwrite=True)
    assert (folder / "b.csv").read_text().startswith("label")


def test_a_summary_of_somebody_else_is_never_replaced(segmenter: Segmenter, folder: Path) -> None:
    (folder / "summary.csv").write_text("my own notes")
    with pytest.raises(SettingsError, match=r"summary\.csv is there already"):
        predict(segmenter, folder, folder)
    assert (folder / "summary.csv").read_text() == "my own notes"


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_image_is_never_replaced_by_a_result(segmenter: Segmenter, folder: Path, overwrite: bool) -> None:
    before = (folder / "a.tif").read_bytes()
    with pytest.raises(SettingsError, match="is one of the images"):
        predict(segmenter, folder, folder, formats=["tif"], overwrite=overwrite)
    (folder.parent / "link").symlink_to(folder)
    with pytest.raises(SettingsError, match="is one of the images"):
        predict(segmenter, folder, folder.parent / "link", formats=["tif"], overwrite=overwrite)
    assert (folder / "a.tif").read_bytes() == before


def test_two_folders_with_equal_names_do_not_share_an_output_folder(
    segmenter: Segmenter, folder: Path, out: Path
) -> None:
    other = folder.with_name("other")
    other.mkdir()
    tifffile.imwrite(other / "a.tif", draw_discs((70, 90), []))
    predict(segmenter, folder, out)
    before = (out / "a.csv").read_bytes()
    with pytest.raises(SettingsError, match="another image"):
        predict(segmenter, other, out)
    assert (out / "a.csv").read_bytes() == before
    both = segmenter.predict_files([folder, other], out=out.with_name("both"), formats=["csv"])
    assert [each.results.relative_to(both.out).as_posix() for each in both.files] == [
        "in/a.tif",
        "b",
        "c",
        "other/a.tif",
    ]


def test_a_folder_that_was_moved_is_resumed(segmenter: Segmenter, folder: Path, out: Path, asked: Counting) -> None:
    predict(segmenter, folder, out)
    asked.names.clear()
    run = predict(segmenter, folder.rename(folder.with_name("moved")), out)
    assert asked.names == []
    assert {each.file.parent.name for each in run.files} == {"moved"}


def test_a_folder_that_is_reached_through_a_link_is_resumed(
    segmenter: Segmenter, folder: Path, out: Path, asked: Counting
) -> None:
    predict(segmenter, folder, out)
    asked.names.clear()
    link = folder.with_name("link")
    link.symlink_to(folder)
    predict(segmenter, link, out)
    assert asked.names == []


def test_two_runs_at_once_in_one_folder_are_refused(segmenter: Segmenter, folder: Path, out: Path) -> None:
    from nucleus_unet.batch.record import lock_output

    with lock_output(out), pytest.raises(SettingsError, match="another process works in"):
        predict(segmenter, folder, out)
    predict(segmenter, folder, out)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"formats": ["bmp"]}, SettingsError, "format"),
        ({"formats": []}, SettingsError, "format"),
        ({"workers": 0}, SettingsError, "workers: expected a whole number of 1 to 1024, got 0"),
        ({"workers": 2.5}, SettingsError, "workers"),
        ({"threshold": 5}, SettingsError, "threshold"),
        ({"out": ""}, SettingsError, "out: expected a path"),
        ({"out": "a\0b"}, SettingsError, "out: expected a path"),
        ({"images": 3}, SettingsError, "images: expected paths"),
        ({"images": []}, SettingsError, "an empty list"),
        ({"images": [np.zeros((3, 3))]}, SettingsError, "got ndarray"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    segmenter: Segmenter, folder: Path, out: Path, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        segmenter.predict_files(**{"images": folder, "out": out, **options})
    assert not out.exists()


@pytest.mark.parametrize(
    ("chosen", "package"),
    [("parquet", "pyarrow"), ("omezarr", "zarr"), ("anndata", "anndata"), ("spatialdata", "spatialdata")],
)
def test_a_missing_extra_of_a_format_is_told_before_the_first_image(
    segmenter: Segmenter,
    folder: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: Counting,
    chosen: str,
    package: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match="pip install"):
        predict(segmenter, folder, out, formats=[chosen])
    assert asked.names == []


def test_a_missing_extra_of_measures_is_told_before_the_first_image(
    segmenter: Segmenter, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, asked: Counting
) -> None:
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[texture\]'"):
        predict(segmenter, folder, out, measure="texture")
    assert asked.names == []
    assert not out.exists()


def test_a_file_in_place_of_the_output_folder_is_told_before_the_first_image(
    segmenter: Segmenter, folder: Path, out: Path, asked: Counting
) -> None:
    out.write_text("a file")
    with pytest.raises(SettingsError, match="expected a folder for results, got a file"):
        predict(segmenter, folder, out)
    with pytest.raises(NotADirectoryError):
        predict(segmenter, folder, out / "deep")
    assert asked.names == []


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", ["deep", "deep/d.csv/x", "link"])
def test_what_lies_in_the_way_of_a_result_is_told_before_the_first_image(
    segmenter: Segmenter, folder: Path, out: Path, asked: Counting, place: str, overwrite: bool
) -> None:
    (folder / "deep").mkdir()
    (folder / "a.tif").rename(folder / "deep" / "d.tif")
    if place == "link":
        out.symlink_to(out.with_name("gone"))
    else:
        (out / place).parent.mkdir(parents=True)
        (out / place).write_text("a file")
    with pytest.raises(SettingsError, match=r"is a file|is a folder|leads nowhere"):
        predict(segmenter, folder, out, overwrite=overwrite)
    assert asked.names == []


def test_an_image_without_pixels_has_results_but_no_picture(segmenter: Segmenter, folder: Path, out: Path) -> None:
    np.save(folder / "empty.npy", np.zeros((0, 5), np.uint8))
    assert not predict(segmenter, folder, out, formats=["csv", "geojson", "rle", "coco", "parquet"]).failures
    for picture in ("png", "tif"):
        (failure,) = predict(segmenter, folder, out, formats=[picture]).failures
        assert "an image without pixels has no" in failure.error


def test_a_full_disk_is_told_before_the_first_image(
    segmenter: Segmenter, folder: Path, out: Path, asked: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nucleus_unet.io.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        predict(segmenter, folder, out)
    assert asked.names == []
    assert not out.exists()


def test_a_disk_that_fills_up_ends_the_run_which_then_resumes(
    segmenter: Segmenter, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, asked: Counting
) -> None:
    real = Segmentation.save

    def save(self: Segmentation, path: Path, **options: Any) -> Path:
        if path.name == "b.csv":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(self, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Segmentation, "save", save)
        with pytest.raises(OSError, match=r"No space left on device; .* the same call goes on"):
            predict(segmenter, folder, out, workers=1)
    assert not (out / "summary.csv").exists()
    asked.names.clear()
    assert predict(segmenter, folder, out).nuclei == 3
    assert "a.tif" not in asked.names


def test_a_run_can_be_cancelled_and_resumed(segmenter: Segmenter, folder: Path, out: Path, asked: Counting) -> None:
    event = threading.Event()
    with pytest.raises(CancelledError):
        predict(segmenter, folder, out, workers=1, cancel=event, progress=lambda *_: event.set())
    assert predict(segmenter, folder, out).nuclei == 3


def test_an_interruption_ends_the_image_in_progress_before_its_next_tile(
    segmenter: Segmenter, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended, real = threading.Event(), threading.Event(), Segmenter.predict

    def endless(its: Segmenter, image: Any, *, cancel: threading.Event, **options: Any) -> Any:
        if Path(image).name == "a.tif":
            return real(its, image, cancel=cancel, **options)
        begun.set()
        if cancel.wait(30):
            ended.set()
        raise CancelledError("the call was cancelled")

    def interrupt(_step: str, done: int, _images: int) -> None:
        if done == 1:
            assert begun.wait(30)
            raise KeyboardInterrupt

    monkeypatch.setattr(Segmenter, "predict", endless)
    with pytest.raises(KeyboardInterrupt):
        predict(segmenter, folder, out, workers=1, progress=interrupt)
    assert ended.is_set()


def test_memory_that_does_not_suffice_for_an_image_is_told_of_that_image(
    segmenter: Segmenter, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Segmenter.predict

    def limited(its: Segmenter, image: Any, **options: Any) -> Any:
        if Path(image).name == "b.tif":
            raise MemoryError
        return real(its, image, **options)

    monkeypatch.setattr(Segmenter, "predict", limited)
    run = predict(segmenter, folder, out)
    assert [each.error for each in run.failures] == [f"{folder / 'b.tif'}: not enough memory"]
    assert run.nuclei == 2


SCRIPT = """
import sys
from pathlib import Path
from nucleus_unet.segmenter import Segmenter
segmenter = Segmenter.from_pretrained(sys.argv[1], device="cpu", precision="float32")
print("ready", flush=True)
segmenter.predict_files(sys.argv[2], out=sys.argv[3], formats=["tif", "csv"])
"""


def test_a_run_that_is_killed_at_any_time_loses_only_the_images_in_work(
    segmenter: Segmenter, tiny_bundle: Path, tmp_path: Path, out: Path, asked: Counting
) -> None:
    (tmp_path / "many").mkdir()
    for number in range(40):
        image = draw_discs((120, 150), [(20, 25, 6 + number % 3), (60, 60, 7)])
        tifffile.imwrite(tmp_path / "many" / f"{number:02}.tif", image)
    for delay in (0.05, 0.15, 0.25):
        command = [sys.executable, "-c", SCRIPT, tiny_bundle, tmp_path / "many", out]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
    written = {path.stem for path in out.glob("*.csv") if (out / f"{path.stem}.tif").exists()} - {"summary"}
    for path in out.glob("*.tif"):
        assert tifffile.imread(path).shape == (120, 150)
    asked.names.clear()
    run = predict(segmenter, tmp_path / "many", out, formats=["tif", "csv"])
    assert run.resumed >= len(written) - run_module.DEFAULT_WORKERS
    assert len(asked.names) == 40 - run.resumed
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    predict(segmenter, tmp_path / "many", tmp_path / "whole", formats=["tif", "csv"])
    assert {name: (out / name).read_bytes() for name in results_in(out)} == {
        name: (tmp_path / "whole" / name).read_bytes() for name in results_in(tmp_path / "whole")
    }


@pytest.mark.skipif(os.name == "nt", reason="names of files are text on Windows")
def test_names_in_no_encoding_are_segmented_recorded_and_listed(
    segmenter: Segmenter, folder: Path, out: Path, asked: Counting
) -> None:
    (folder / "a.tif").rename(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.tif"))
    predict(segmenter, folder, out)
    assert b"\xff\xfe.tif" in (out / "summary.csv").read_bytes()
    asked.names.clear()
    assert predict(segmenter, folder, out).resumed == 3


def test_the_summary_names_the_scene_that_was_asked_for(segmenter: Segmenter, tmp_path: Path, out: Path) -> None:
    path = tmp_path / "in" / "scenes.lif"
    path.parent.mkdir()
    drawn = draw_discs((70, 90), [(20, 25, 6)])
    write_lif(path, {"first": ("YX", np.zeros_like(drawn)), "second": ("YX", drawn)})
    predict(segmenter, path.parent, out, scene="second")
    assert [(row["scene"], row["nuclei"]) for row in rows(out)] == [("second", "1")]


def test_many_images_log_their_scales_in_one_line(tmp_path: Path, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "in").mkdir()
    places = [(row, column, 60) for row in (80, 230) for column in (80, 230)]
    for name in "ab":
        tifffile.imwrite(tmp_path / "in" / f"{name}.tif", draw_discs((310, 310), places))
    embedded = Segmenter.from_pretrained(device="cpu")
    with caplog.at_level(logging.INFO, logger="nucleus_unet"):
        predict(embedded, tmp_path / "in", out)
        predict(embedded, tmp_path / "in", tmp_path / "told", diameter=60)
    scales = {row["scale"] for row in rows(out)}
    assert len(scales) == 1
    assert float(scales.pop()) < 1
    lines = [record.message for record in caplog.records if "scaled" in record.message]
    assert len(lines) == 1
    assert lines[0].startswith("scaled by the size of nuclei or pixels: 2 of 2 images, 2 by 0.")


def test_many_images_log_in_one_line_how_many_are_doubtful(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "images").mkdir()
    for name, value in (("bright", 200), ("dim", 90)):
        image = np.full((90, 90), 10, np.uint8)
        image[30:60, 30:60] = value
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", image)
    monkeypatch.setattr(ScaleScore, "expected_msa", lambda _score, _measurements: 0.25)
    predict(Segmenter.from_pretrained(device="cpu"), tmp_path / "images", out)
    assert [row["expected_msa"] for row in rows(out)] == ["0.25", "0.25"]
    lines = [record.message for record in caplog.records if "doubtful" in record.message]
    assert len(lines) == 1
    assert lines[0].startswith("doubtful nuclei in 2 of 2 images")
