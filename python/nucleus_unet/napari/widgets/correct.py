"""The widget that corrects a label layer: merge, delete, split, draw. Ctrl+Z in the layer undoes each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.napari.correcting import (
    Labels,
    as_labels,
    delete,
    divide_along,
    divide_at,
    labels_under,
    merge,
    tidy,
)
from nucleus_unet.napari.results import features_of
from nucleus_unet.napari.tables import measure_again, without
from nucleus_unet.napari.widgets.common import (
    Background,
    current_viewer,
    guarded,
    gui,
    layer_choice,
    layers_of,
    message,
    panel,
)
from nucleus_unet.napari.widgets.layers import label_array, remember, same_place, source_of
from nucleus_unet.wording import counted

POINTS, LINES = "nuclei to correct", "lines to cut along"
_COLOUR = "#ff3366"


def correct_nuclei() -> Any:
    """Return the widget."""
    return CorrectPanel(current_viewer()).container


class CorrectPanel:
    """Points say which nuclei are meant, and lines where to cut. Both are layers of napari that lie on the labels."""

    def __init__(self, viewer: Any) -> None:
        widgets = gui()
        self.viewer = viewer
        self.labels = layer_choice(viewer, "Labels", "labels", "The layer to correct.")
        self.told = message()
        self.background = Background(disabled=[])

        def button(text: str, tooltip: str, function: Callable[[], object]) -> Any:
            made = widgets.PushButton(text=text, tooltip=tooltip)
            made.changed.connect(guarded(function))
            return made

        def row(*buttons: Any) -> Any:
            made = widgets.Container(widgets=list(buttons), layout="horizontal", labels=False)
            made.margins = (0, 0, 0, 0)
            return made

        self.click = button("Click nuclei", "Then click on nuclei in the picture.", self.start_clicking)
        self.line = button("Draw a line", "Then click along the cut, and double-click to end.", self.start_line)
        self.merge = button("Merge", "The nuclei that were clicked become one.", self.merge_clicked)
        self.delete = button("Delete", "The nuclei that were clicked become background.", self.delete_clicked)
        self.at_points = button("Split at points", "One nucleus for each point in it.", self.split_at_points)
        self.along_line = button("Split along line", "Nuclei are cut where the line crosses them.", self.split_along)
        self.draw = button("Draw a nucleus", "Paint with a new label; other nuclei are kept.", self.start_drawing)
        self.tidy = button("Tidy", "One piece without holes for each nucleus; specks go.", self.tidy_labels)
        self.undo = button("Undo", "As Ctrl+Z in the layer.", lambda: self._chosen().undo())
        self.redo = button("Redo", "As Ctrl+Shift+Z in the layer.", lambda: self._chosen().redo())
        self.measure = button("Measure again", "The table of the corrected labels.", self.measure_again)
        self.container = panel(
            self,
            [
                self.labels,
                *(row(self.click, self.line), row(self.merge, self.delete), row(self.at_points, self.along_line)),
                *(row(self.draw, self.tidy), row(self.undo, self.redo), self.measure),
                *(*self.background.widgets, self.told),
            ],
        )
        found = layers_of(viewer, "Labels")
        active = viewer.layers.selection.active
        self.labels.value = active if active in found else next(iter(found), None)

    def start_clicking(self) -> None:
        """Make or take the layer of points, ready to click."""
        self._activate(self._helper("Points", POINTS), "add")
        self.told.value = "Click on nuclei, then choose what to do."

    def start_line(self) -> None:
        """Make or take the layer of lines, ready to draw."""
        self._activate(self._helper("Shapes", LINES), "add_polyline")
        self.told.value = "Click along the cut, double-click to end."

    def start_drawing(self) -> None:
        """Take the brush with a new label that keeps the other nuclei."""
        layer = self._chosen()
        layer.selected_label = self._next_label(layer)
        layer.preserve_labels = True
        self._activate(layer, "paint")
        self.told.value = f"Paint nucleus {layer.selected_label}."

    def merge_clicked(self) -> None:
        """Make the nuclei that were clicked one."""
        self._change(lambda plane, _first: merge(plane, self._clicked(plane)))

    def delete_clicked(self) -> None:
        """Make the nuclei that were clicked background."""
        self._change(lambda plane, _first: delete(plane, self._clicked(plane)))

    def split_at_points(self) -> None:
        """Split nuclei that have several points."""
        self._change(lambda plane, first: divide_at(plane, self._points(), first=first).labels)

    def split_along(self) -> None:
        """Split nuclei along each of the lines."""

        def cut(plane: Labels, first: int) -> Labels:
            for line in self._lines():
                plane = divide_along(plane, line, first=first).labels
                first = max(first, int(plane.max()) + 1)
            return plane

        self._change(cut)

    def tidy_labels(self) -> None:
        """Make every nucleus of the plane that is shown one piece without holes."""
        self._change(lambda plane, first: tidy(plane, first=first))

    def measure_again(self) -> None:
        """Measure the corrected labels in the background, and replace the table of the layer."""
        layer = self._chosen()
        source = source_of(self.viewer, layer)
        labels, before = label_array(layer), dict(layer.features)

        def call(_progress: Any) -> Any:
            return measure_again(source.part, labels, source.options, before)

        def done(table: Any) -> None:
            layer.features = features_of(table)
            remember(layer, *source)
            self.told.value = f"{counted(len(table['label']), 'nucleus')} measured."

        self.background.run("measuring", call, done)

    def _change(self, function: Callable[[Labels, int], Labels]) -> None:
        """Change the plane that is shown, as one step that can be undone."""
        layer = self._chosen()
        outer = self._outer(layer)
        plane = as_labels(layer.data[outer])
        changed = function(plane, self._next_label(layer))
        rows, columns = np.nonzero(changed != plane)
        if not len(rows):
            self.told.value = "There was nothing to change."
            return
        greatest = np.iinfo(layer.data.dtype).max
        if changed.max() > greatest:
            raise MaskError(
                f"{layer.name}: expected labels up to {greatest}, which {layer.data.dtype} holds, got {changed.max()}: "
                "convert the layer to uint32 first"
            )
        indices = (*(np.full(len(rows), number) for number in outer), rows, columns)
        before, after = np.unique(plane[rows, columns]), np.unique(changed[rows, columns])
        layer.data_setitem(indices, changed[rows, columns].astype(layer.data.dtype))
        if "label" in layer.features:
            kept = without(dict(layer.features), np.union1d(before, after))
            layer.features = {**kept, "index": kept["label"]}
        self._clear()
        left = len(np.unique(changed)) - int((changed == 0).any())
        self.told.value = f"{counted(left, 'nucleus')} in this plane. Ctrl+Z undoes."
        self._activate(layer, "pan_zoom")

    def _chosen(self) -> Any:
        layer = self.labels.value
        if layer is None:
            raise SettingsError("labels: expected a labels layer, got none: find nuclei first")
        if layer.multiscale:
            raise SettingsError(f"{layer.name}: expected labels of one level, got a pyramid, which cannot be edited")
        return layer

    def _outer(self, layer: Any) -> tuple[int, ...]:
        """Return the place of the plane that is shown, along all axes before rows and columns."""
        place = np.rint(layer.world_to_data(self.viewer.dims.point)).astype(int)[: layer.ndim - 2]
        inside = (place >= 0) & (place < np.array(layer.data.shape[: layer.ndim - 2]))
        if not inside.all():
            raise SettingsError(f"{layer.name}: expected a plane with labels to be shown, got one without")
        return tuple(place.tolist())

    def _next_label(self, layer: Any) -> int:
        return int(np.asarray(layer.data).max(initial=0)) + 1

    def _points(self) -> NDArray[np.float64]:
        """Return the points in the plane that is shown, as rows and columns of the labels."""
        layer = self._chosen()
        points = next((each for each in layers_of(self.viewer, "Points") if each.name == POINTS), None)
        data = np.zeros((0, layer.ndim)) if points is None else np.asarray(points.data)
        here = (np.rint(data[:, :-2]) == self._outer(layer)).all(axis=1)
        if not here.any():
            raise SettingsError("expected clicks on nuclei of this plane, got none: press 'Click nuclei' and click")
        rows_and_columns: NDArray[np.float64] = data[here][:, -2:]
        return rows_and_columns

    def _clicked(self, plane: Labels) -> list[int]:
        return labels_under(plane, self._points())

    def _lines(self) -> list[NDArray[np.float64]]:
        layer = self._chosen()
        shapes = next((each for each in layers_of(self.viewer, "Shapes") if each.name == LINES), None)
        lines = [] if shapes is None else [np.asarray(each) for each in shapes.data]
        here = [each[:, -2:] for each in lines if (np.rint(each[:, :-2]) == self._outer(layer)).all()]
        if not here:
            raise SettingsError("expected a line in this plane, got none: press 'Draw a line' and draw")
        return here

    def _helper(self, kind: str, name: str) -> Any:
        """Return the layer of points or lines on the labels; a new one if it lies elsewhere."""
        layer = self._chosen()
        helper = next((each for each in layers_of(self.viewer, kind) if each.name == name), None)
        if helper is not None and same_place(helper, layer):
            return helper
        if helper is not None:
            self.viewer.layers.remove(helper)
        names = ("scale", "translate", "rotate", "shear", "affine", "units")
        place = {each: getattr(layer, each) for each in names}
        if kind == "Points":
            return self.viewer.add_points(
                ndim=layer.ndim, name=name, size=6, face_color=_COLOUR, border_color="white", **place
            )
        return self.viewer.add_shapes(ndim=layer.ndim, name=name, edge_color=_COLOUR, edge_width=1, **place)

    def _activate(self, layer: Any, mode: str) -> None:
        self.viewer.layers.selection.active = layer
        layer.mode = mode

    def _clear(self) -> None:
        """Remove the points and lines that were used."""
        for kind, name in (("Points", POINTS), ("Shapes", LINES)):
            for each in layers_of(self.viewer, kind):
                if each.name == name:
                    each.data = [] if kind == "Shapes" else np.zeros((0, each.ndim))
