"""The widget that colours nuclei by a measure."""

from __future__ import annotations

from typing import Any

import numpy as np

from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require
from nucleus_unet.napari.colouring import colours_by, measured_columns
from nucleus_unet.napari.widgets.common import current_viewer, guarded, gui, layer_choice, layers_of, message, panel

_COLOURMAPS = ("viridis", "magma", "turbo", "PiYG", "gray")


def colour_nuclei() -> Any:
    """Return the widget."""
    return ColourPanel(current_viewer()).container


class ColourPanel:
    """Chooses a label layer and a column of its table."""

    def __init__(self, viewer: Any) -> None:
        widgets = gui()
        self.viewer = viewer
        self.labels = layer_choice(
            viewer, "Labels", "labels", "A layer with a table, such as the nuclei that were found."
        )
        self.column = widgets.ComboBox(label="measure", choices=self._columns, nullable=True)
        self.colours = widgets.ComboBox(label="colours", choices=list(_COLOURMAPS))
        self.button = widgets.PushButton(text="Colour")
        self.back = widgets.PushButton(text="One colour for each nucleus again")
        self.told = message()
        self.container = panel(self, [self.labels, self.column, self.colours, self.button, self.back, self.told])
        self.labels.changed.connect(lambda _layer: self.column.reset_choices())
        self.button.changed.connect(guarded(self.colour))
        self.back.changed.connect(guarded(self.reset))
        self.labels.value = next(iter(layers_of(viewer, "Labels")), None)
        self.column.reset_choices()

    def _columns(self, _box: Any) -> list[str]:
        layer = self.labels.value
        return [] if layer is None else measured_columns(dict(layer.features))

    def colour(self) -> None:
        """Colour the nuclei by the chosen column."""
        layer, column = self.labels.value, self.column.value
        if layer is None or column is None or column not in layer.features:
            raise SettingsError("colour: expected labels with a table and a measure, got none: find nuclei first")
        colormaps = require("napari.utils.colormaps", "the plugin needs napari", extra="napari").utils.colormaps
        numbers = layer.features["index" if "index" in layer.features else "label"]
        values = np.asarray(layer.features[column])
        coloured = colours_by(np.asarray(numbers), values, colormaps.ensure_colormap(self.colours.value).map)
        layer.colormap = colormaps.DirectLabelColormap(color_dict=coloured.colours)
        self.told.value = f"{column}: {coloured.least:.4g} to {coloured.most:.4g}"

    def reset(self) -> None:
        """Give each nucleus a colour of its own again."""
        if self.labels.value is not None:
            colormaps = require("napari.utils.colormaps", "the plugin needs napari", extra="napari").utils.colormaps
            self.labels.value.colormap = colormaps.label_colormap()
            self.told.value = ""
