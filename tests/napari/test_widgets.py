"""The widgets in a real viewer. They need napari, a binding of Qt, and a display: `xvfb-run pytest tests/napari`."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.images import draw_discs
from helpers.slide_results import LABELS, PICTURE, written
from nucleus_unet.napari import fine_tuning
from nucleus_unet.napari.models import MODEL_LIST
from nucleus_unet.segmenter import Segmenter

pytest.importorskip("napari.layers", reason="napari is not installed; the extra napari brings it")
pytest.importorskip("qtpy.QtWidgets", reason="there is no binding of Qt, such as PySide6")
if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    pytest.skip("there is no display: run with xvfb-run", allow_module_level=True)

import napari
from napari.utils.notifications import notification_manager
from npe2 import PluginManager, PluginManifest
from nucleus_unet import napari as plugin
from qtpy.QtWidgets import QApplication

IMAGE = draw_discs((100, 130), [(20, 20, 8), (22, 70, 8), (70, 30, 8), (75, 100, 8)])
NAMES = ["Segment nuclei", "Correct nuclei", "Colour nuclei by a measure", "Fine-tune on corrected", "Segment a slide"]


# PySide6 takes some 5,000 references to None too many for each viewer that is opened and closed, with or without this
# plugin. Before Python 3.12 the interpreter aborts when none is left, after some fifteen viewers.
_SPARE_REFERENCES = 500_000


@pytest.fixture(scope="module", autouse=True)
def _enough_references_to_none() -> None:
    if sys.version_info < (3, 12):
        for _ in range(_SPARE_REFERENCES):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    manager = PluginManager.instance()
    if "nucleus-unet" not in manager:
        manager.register(PluginManifest.from_file(Path(plugin.__path__[0]) / "napari.yaml"))


@pytest.fixture
def viewer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[napari.Viewer]:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = napari.Viewer(show=True)
    notification_manager.records.clear()
    yield made
    made.close()
    QApplication.processEvents()


@pytest.fixture
def tiny(tiny_bundle: Path) -> str:
    """The name of the small model, which is in the list."""
    MODEL_LIST.add(tiny_bundle)
    return tiny_bundle.name


def dock(viewer: napari.Viewer, name: str) -> Any:
    return viewer.window.add_plugin_dock_widget("nucleus-unet", name)[1].panel


def wait(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        QApplication.processEvents()
        time.sleep(0.01)
    QApplication.processEvents()


def found(viewer: napari.Viewer, tiny: str, prepare: Callable[[Any], object] = lambda _panel: None) -> Any:
    """Press the button of the segment widget, and return the layer."""
    panel = dock(viewer, "Segment nuclei")
    panel.model.box.value = tiny
    panel.scale.how.value = "by diameter, in pixels"
    panel.scale.value.value = 16
    prepare(panel)
    before = len(viewer.layers)
    panel.button.native.click()
    wait(lambda: not panel.background.busy)
    assert len(viewer.layers) > before, said()
    return viewer.layers[-1]


def said() -> list[str]:
    return [record.message for record in notification_manager.records]


@pytest.mark.parametrize("name", NAMES)
def test_every_widget_docks_in_a_viewer_without_layers(viewer: napari.Viewer, name: str) -> None:
    dock(viewer, name)
    assert said() == []


def test_the_nuclei_of_a_layer_become_a_label_layer_with_a_table(
    viewer: napari.Viewer, tiny: str, segmenter: Segmenter
) -> None:
    viewer.add_image(IMAGE, name="cells", scale=(0.5, 0.5), translate=(10, 20), rotate=30)
    layer = found(viewer, tiny)
    expected = segmenter.predict(IMAGE, diameter=16)
    assert np.array_equal(layer.data, expected.labels)
    assert layer.name == "cells nuclei"
    assert layer.features["area"].tolist() == expected.table["area"].tolist()
    for point in ([0, 0], [99, 129], [40.5, 3]):
        assert np.allclose(layer.data_to_world(point), viewer.layers["cells"].data_to_world(point))


def test_a_rectangle_is_segmented_where_it_lies_under_any_transform(viewer: napari.Viewer, tiny: str) -> None:
    affine = np.array([[0.9, 0.1, 5], [-0.2, 1.1, 7], [0, 0, 1]])
    image = viewer.add_image(IMAGE, scale=(2, 3), translate=(10, 20), rotate=30, shear=[0.2], affine=affine)
    corners = np.array([[50, 60], [50, 125], [95, 125], [95, 60]])
    viewer.add_shapes([[image.data_to_world(corner) for corner in corners]], shape_type="polygon", name="here")

    def choose(panel: Any) -> None:
        panel.region.value = "a rectangle"
        panel.shapes.value = viewer.layers["here"]

    layer = found(viewer, tiny, choose)
    assert layer.data.shape == (46, 66)
    assert np.allclose(layer.data_to_world([0, 0]), image.data_to_world([50, 60]))
    assert np.allclose(layer.data_to_world([45, 65]), image.data_to_world([95, 125]))


def test_what_is_shown_is_segmented(viewer: napari.Viewer, tiny: str) -> None:
    image = viewer.add_image(np.tile(IMAGE, (8, 8)))
    viewer.camera.center = (0, 400, 500)
    viewer.camera.zoom = 4
    QApplication.processEvents()
    layer = found(viewer, tiny, lambda panel: setattr(panel.region, "value", "what is shown"))
    first, last = image.corner_pixels
    assert layer.data.shape[0] <= last[0] - first[0] + 1 < 800
    assert layer.data_to_world([0, 0])[0] > 0


def test_the_shown_plane_of_a_stack_lies_at_its_place(viewer: napari.Viewer, tiny: str) -> None:
    stack = np.stack([np.full_like(IMAGE, 15)] * 4)
    stack[2] = IMAGE
    viewer.add_image(stack, scale=(3, 1, 1))
    viewer.dims.set_point(0, 6)
    layer = found(viewer, tiny)
    assert layer.data.shape == (1, *IMAGE.shape)
    assert [round(layer.world_to_data((place, 20, 20))[0]) for place in (3, 6, 9)] == [-1, 0, 1]


def test_all_planes_of_a_stack_of_channels_are_segmented_for_every_channel(viewer: napari.Viewer, tiny: str) -> None:
    stack = np.zeros((3, 2, *IMAGE.shape), np.uint8)
    stack[:, 1] = IMAGE
    viewer.add_image(stack)

    def choose(panel: Any) -> None:
        panel.axes.value = "ZCYX"
        panel.z.value = "all"
        panel.channel.value = "1"

    layer = found(viewer, tiny, choose)
    assert layer.data.shape == (3, 1, *IMAGE.shape)
    for channel in (0, 1):
        assert round(layer.world_to_data((2, channel, 20, 20))[1]) == 0
    assert len(layer.features) == 12


def test_an_error_is_a_notification_with_the_sentence_of_the_library(viewer: napari.Viewer, tiny: str) -> None:
    viewer.add_image(np.full((50, 50), np.nan))
    panel = dock(viewer, "Segment nuclei")
    panel.model.box.value = tiny
    panel.button.native.click()
    wait(lambda: not panel.background.busy)
    assert len(said()) == 1
    assert "NaN" in said()[0]
    assert "Traceback" not in said()[0]


def test_a_call_can_be_cancelled(viewer: napari.Viewer, tiny: str) -> None:
    viewer.add_image(np.stack([IMAGE] * 500))
    panel = dock(viewer, "Segment nuclei")
    panel.model.box.value, panel.z.value = tiny, "all"
    panel.button.native.click()
    wait(lambda: panel.background._bar.value >= 1)
    panel.background._cancel.native.click()
    wait(lambda: not panel.background.busy)
    assert said() == ["Cancelled."]
    assert len(viewer.layers) == 1


def test_nuclei_are_merged_split_and_deleted_and_each_step_is_undone(viewer: napari.Viewer, tiny: str) -> None:
    viewer.add_image(IMAGE)
    layer = found(viewer, tiny)
    original = layer.data.copy()
    panel = dock(viewer, "Correct nuclei")
    assert panel.labels.value == layer

    panel.click.native.click()
    viewer.layers["nuclei to correct"].add([[20, 20], [22, 70]])
    panel.delete.native.click()
    assert sorted(np.unique(layer.data)) == [0, 3, 4]
    assert layer.features["label"].tolist() == [3, 4]
    panel.undo.native.click()
    assert np.array_equal(layer.data, original)

    panel.line.native.click()
    viewer.layers["lines to cut along"].add_paths([[[5, 20], [40, 20]]])
    panel.along_line.native.click()
    assert len(np.unique(layer.data)) == 6
    halves = layer.data[20, 15], layer.data[20, 25]
    assert halves[0] != halves[1]

    panel.click.native.click()
    viewer.layers["nuclei to correct"].add([[20, 15], [20, 25]])
    panel.merge.native.click()
    assert layer.data[20, 15] == layer.data[20, 25]
    assert np.array_equal(layer.data > 0, original > 0)
    assert said() == []


def test_corrections_touch_only_the_plane_that_is_shown(viewer: napari.Viewer) -> None:
    labels = np.stack([np.where(IMAGE > 100, 1, 0)] * 3).astype(np.uint8)
    layer = viewer.add_labels(labels.copy())
    panel = dock(viewer, "Correct nuclei")
    viewer.dims.set_point(0, 1)
    panel.click.native.click()
    viewer.layers["nuclei to correct"].add([[1, 20, 20]])
    panel.delete.native.click()
    assert [bool(plane.any()) for plane in layer.data] == [True, False, True]


def test_a_label_that_the_layer_cannot_hold_is_refused_and_nothing_changes(viewer: napari.Viewer) -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 10:30] = 255
    layer = viewer.add_labels(labels.copy())
    panel = dock(viewer, "Correct nuclei")
    panel.line.native.click()
    viewer.layers["lines to cut along"].add_paths([[[5, 20], [35, 20]]])
    panel.along_line.native.click()
    assert "labels up to 255, which uint8 holds, got 256" in said()[0]
    assert np.array_equal(layer.data, labels)


def test_a_corrected_layer_is_measured_again(viewer: napari.Viewer, tiny: str) -> None:
    viewer.add_image(IMAGE)
    layer = found(viewer, tiny)
    panel = dock(viewer, "Correct nuclei")
    panel.draw.native.click()
    assert layer.mode == "paint"
    layer.paint((50, 60), layer.selected_label)
    panel.measure.native.click()
    wait(lambda: not panel.background.busy)
    assert layer.features["label"].tolist() == [1, 2, 3, 4, 5]
    assert layer.features["area"].iloc[-1] == (layer.data == 5).sum()


def test_nuclei_are_coloured_by_a_measure_and_back(viewer: napari.Viewer, tiny: str) -> None:
    viewer.add_image(IMAGE)
    layer = found(viewer, tiny)
    panel = dock(viewer, "Colour nuclei by a measure")
    panel.column.value = "row"
    panel.button.native.click()
    assert said() == []
    assert not np.allclose(layer.get_color(1), layer.get_color(4))
    assert np.allclose(layer.get_color(1), layer.get_color(2), atol=0.1)  # nearly the same row
    panel.back.native.click()
    assert type(layer.colormap).__name__ == "CyclicLabelColormap"


def test_fine_tuning_writes_a_set_and_the_model_can_be_chosen_at_once(
    viewer: napari.Viewer, tiny: str, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def train(run: fine_tuning.FineTuning, _progress: object) -> dict[str, Any]:
        assert len(list((run.data / "images").iterdir())) == 2  # 100 x 130 pixels are cut in two
        shutil.copytree(tiny_bundle, run.out)
        return {"validation": {"overall": {"pooled_ap": {"0.50": 0.75}}}, "origin": {"validation_pooled_ap50": 0.5}}

    monkeypatch.setattr("nucleus_unet.napari.widgets.fine_tune.fine_tune", train)
    viewer.add_image(IMAGE)
    segment = dock(viewer, "Segment nuclei")
    found(viewer, tiny)
    panel = dock(viewer, "Fine-tune on corrected")
    panel.name.value = "of this test"
    panel.button.native.click()
    wait(lambda: not panel.background.busy)
    assert "0.500 before, 0.750 now" in panel.told.value
    assert "of this test" in segment.model.box.choices
    assert (tmp_path / "nucleus-unet" / "models" / "of this test" / "config.json").exists()


def test_the_results_of_a_slide_open_lazily(viewer: napari.Viewer, tmp_path: Path) -> None:
    folder = written(tmp_path / "slide.nuclei").folder
    [layer] = viewer.open(str(folder), plugin="nucleus-unet")
    assert layer.multiscale
    assert len(layer.features) == len(np.unique(LABELS)) - 1
    assert np.array_equal(np.asarray(layer.data[0]), LABELS)
    viewer.screenshot(flash=False)


@pytest.mark.parametrize("levels", [1, 2])
def test_the_picture_of_a_slide_is_shown(viewer: napari.Viewer, tmp_path: Path, levels: int) -> None:
    with tifffile.TiffWriter(tmp_path / "slide.svs") as writer:
        writer.write(PICTURE, tile=(256, 256), subifds=levels - 1)
        if levels == 2:
            writer.write(PICTURE[::2, ::2], tile=(256, 256), subfiletype=1)
    panel = dock(viewer, "Segment a slide")
    panel.slide.value = tmp_path / "slide.svs"
    panel.show.native.click()
    assert said() == []
    assert viewer.layers["slide"].multiscale == (levels == 2)
    viewer.screenshot(flash=False)


def test_a_slide_is_found_and_its_results_open(viewer: napari.Viewer, tiny: str, tmp_path: Path) -> None:
    np.save(tmp_path / "slide.npy", np.tile(IMAGE, (3, 3)))
    panel = dock(viewer, "Segment a slide")
    panel.slide.value = tmp_path / "slide.npy"
    assert panel.out.value == tmp_path / "slide.nuclei"
    panel.model.box.value, panel.scale.how.value, panel.scale.value.value = tiny, "by diameter, in pixels", 16
    panel.button.native.click()
    wait(lambda: not panel.background.busy)
    assert panel.told.value == "36 nuclei in slide.nuclei"
    assert len(viewer.layers["slide nuclei"].features) == 36


def test_the_sample_images_open(viewer: napari.Viewer) -> None:
    for key in ("fluorescence", "crowded_fluorescence", "stained_tissue"):
        viewer.open_sample("nucleus-unet", key)
    assert [layer.rgb for layer in viewer.layers] == [False, False, True]
