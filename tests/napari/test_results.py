"""Results of slides, opened for a viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.slide_results import LABELS, PICTURE, written
from nucleus_unet.errors import SettingsError
from nucleus_unet.napari import results
from nucleus_unet.napari.reader import reader_of
from nucleus_unet.napari.results import is_finished, layers_of, open_results, open_slide
from nucleus_unet.slides.result import SlideResult


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("slides") / "größe 1.nuclei").folder


def test_the_label_pyramid_has_the_labels_of_the_file(folder: Path) -> None:
    view = open_results(folder)
    assert np.array_equal(view.levels[0][:], LABELS)
    assert [level.shape for level in view.levels] == [LABELS.shape, LABELS[::2, ::2].shape, LABELS[::4, ::4].shape]
    assert np.array_equal(view.levels[2][100:200, 50:90], LABELS[::4, ::4][100:200, 50:90])


def test_the_table_is_that_of_the_result(folder: Path) -> None:
    view = open_results(folder)
    table = SlideResult(folder, view.count, None).table  # type: ignore[arg-type]
    assert view.table is not None
    assert all(np.array_equal(view.table[name], table[name]) for name in table)


def test_a_table_that_is_too_long_is_not_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MOST_ROWS", 10)
    view = open_results(folder)
    assert view.table is None
    assert "features" not in layers_of(view)[-1][1]


def test_the_layers_are_labels_with_a_row_for_each_nucleus(folder: Path) -> None:
    _, options, kind = layers_of(open_results(folder))[-1]
    assert (kind, options["multiscale"], options["name"]) == ("labels", True, "größe 1 nuclei")
    assert set(options["features"]["index"]) == set(np.unique(LABELS[LABELS > 0]))


def test_the_reader_takes_finished_results_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.nuclei").mkdir()
    assert reader_of(str(tmp_path / "other.nuclei")) is None
    assert reader_of(str(tmp_path / "missing.nuclei")) is None
    assert reader_of([str(folder), str(tmp_path)]) is None
    assert reader_of([]) is None
    read = reader_of([str(folder)])
    assert read is not None
    assert read([str(folder)])[-1][2] == "labels"


def test_a_run_that_is_not_finished_is_named_as_such(folder: Path, tmp_path: Path) -> None:
    for name, words in (("survey.json", "a run that is not finished"), ("holiday.txt", "a folder with other files")):
        other = tmp_path / name
        other.mkdir()
        (other / name).write_text("{}")
        assert not is_finished(other)
        with pytest.raises(SettingsError, match=words):
            open_results(other)
    with pytest.raises(SettingsError, match="nothing of that name"):
        open_results(tmp_path / "missing")


def test_the_picture_of_a_slide_is_opened_level_by_level(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(PICTURE, tile=(256, 256), subifds=1)
        writer.write(PICTURE[::2, ::2], tile=(256, 256), subfiletype=1)
    levels = open_slide(path)
    assert levels is not None
    assert [level.shape for level in levels] == [PICTURE.shape, PICTURE[::2, ::2].shape]
    assert np.array_equal(levels[1][10:20, 30:50], PICTURE[::2, ::2][10:20, 30:50])


def test_a_file_that_is_no_tiff_has_no_levels(tmp_path: Path) -> None:
    (tmp_path / "slide.mrxs").write_bytes(b"not a TIFF file")
    assert open_slide(tmp_path / "slide.mrxs") is None
