"""The widget that finds the nuclei of an image layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from nucleus_unet.errors import SettingsError
from nucleus_unet.io.projections import PROJECTIONS
from nucleus_unet.napari.finding import ALL, FoundNuclei, Part, find_nuclei
from nucleus_unet.napari.jobs import Progress
from nucleus_unet.napari.regions import Region, possible_axes, region_around, whole
from nucleus_unet.napari.results import features_of
from nucleus_unet.napari.widgets.common import (
    Background,
    MeasureChoice,
    ModelChoice,
    ScaleChoice,
    current_viewer,
    guarded,
    gui,
    layer_choice,
    layers_of,
    message,
    open_model,
    panel,
)
from nucleus_unet.napari.widgets.layers import remember, transform_of
from nucleus_unet.wording import counted

WHOLE, SHOWN, DRAWN = "whole layer", "what is shown", "a rectangle"
_SHOWN_PLANE, _COLOURS = "shown", "colours"


def segment_nuclei() -> Any:
    """Return the widget."""
    return SegmentPanel(current_viewer()).container


class SegmentPanel:
    """Chooses a layer, a part of it and options; finds the nuclei in the background; adds them as a layer."""

    def __init__(self, viewer: Any) -> None:
        widgets = gui()
        self.viewer = viewer
        self.image = layer_choice(viewer, "Image", "image", "The layer whose nuclei are found.")
        self.axes = widgets.ComboBox(
            label="axes",
            choices=lambda _box: self._axes_choices(),
            tooltip="What the axes are: T time, Z plane of a stack, C channel.",
        )
        self.channel = widgets.ComboBox(
            label="channel", choices=lambda _box: self._channel_choices(), tooltip="The channel with the nuclei."
        )
        self.time = widgets.ComboBox(label="time", choices=[_SHOWN_PLANE, ALL], tooltip="Each time on its own.")
        self.z = widgets.ComboBox(
            label="z",
            choices=[_SHOWN_PLANE, ALL, *PROJECTIONS],
            tooltip="Plane by plane, or all planes as one (projections). Planes are not linked.",
        )
        self.region = widgets.ComboBox(label="region", choices=[WHOLE, SHOWN, DRAWN])
        self.shapes = layer_choice(viewer, "Shapes", "rectangle", "The selected shapes of this layer, or all.")
        self.scale, self.model, self.measures = ScaleChoice(), ModelChoice(), MeasureChoice()
        self.button = widgets.PushButton(text="Find nuclei")
        self.result = message()
        self.background = Background(disabled=[self.button])
        self.container = panel(
            self,
            [
                *(self.image, self.axes, self.channel, self.time, self.z, self.region, self.shapes),
                *(*self.scale.widgets, *self.model.widgets, *self.measures.widgets),
                *(self.button, *self.background.widgets, self.result),
            ],
        )
        self.image.changed.connect(guarded(self._on_image))
        self.axes.changed.connect(self._on_axes)
        self.region.changed.connect(self._on_region)
        self.button.changed.connect(guarded(self.find))
        images = layers_of(viewer, "Image")
        active = viewer.layers.selection.active
        self.image.value = active if active in images else next(iter(images), None)
        self._on_image(self.image.value)
        self._on_region(self.region.value)

    def _on_image(self, _image: Any) -> None:
        self.axes.reset_choices()
        self.axes.visible = len(self.axes.choices) > 1
        self._on_axes(self.axes.value)

    def _on_axes(self, axes: str | None) -> None:
        self.time.visible, self.z.visible = "T" in (axes or ""), "Z" in (axes or "")
        self.channel.reset_choices()
        self.channel.visible = bool(self.channel.choices)

    def _axes_choices(self) -> list[str]:
        image = self.image.value
        return [] if image is None else possible_axes(image.ndim, rgb=image.rgb, names=image.axis_labels)

    def _channel_choices(self) -> list[str]:
        axes, image = self.axes.value or "", self.image.value
        if image is not None and "C" in axes:
            array = image.data[0] if image.multiscale else image.data
            return [str(number) for number in range(array.shape[axes.index("C")])]
        return [_COLOURS, "0", "1", "2"] if "S" in axes else []

    def _on_region(self, region: str) -> None:
        self.shapes.visible = region == DRAWN

    def part(self) -> Part:
        """Return the part of the layer that is chosen.

        Raises
        ------
        SettingsError
            If no layer is chosen, or the region lies beyond it.
        """
        image, axes = self.image.value, self.axes.value
        if image is None or axes is None:
            raise SettingsError("image: expected an image layer, got none: open an image first")
        array = image.data[0] if image.multiscale else image.data
        shown = _place_shown(self.viewer, image)
        numbers = dict(zip(axes.replace("S", ""), shown, strict=True))
        channel = self.channel.value if self.channel.choices else None
        return Part(
            array,
            axes,
            self._region(image, axes),
            time=numbers.get("T", 0) if self.time.value == _SHOWN_PLANE else self.time.value,
            z=numbers.get("Z", 0) if self.z.value == _SHOWN_PLANE else self.z.value,
            channel=None if channel in (None, _COLOURS) else int(channel),
        )

    def _region(self, image: Any, axes: str) -> Region:
        array = image.data[0] if image.multiscale else image.data
        shape = (int(array.shape[axes.index("Y")]), int(array.shape[axes.index("X")]))
        if self.region.value == WHOLE:
            return whole(shape)
        if self.region.value == SHOWN:
            if self.viewer.dims.ndisplay != 2 or tuple(self.viewer.dims.order)[-2:] != _last_two(self.viewer):
                raise SettingsError("region: expected rows and columns to be shown in 2D, got another view")
            factors = image.downsample_factors[image.data_level] if image.multiscale else np.ones(image.ndim)
            return region_around((image.corner_pixels * factors)[:, -2:], shape, what="what is shown")
        shapes = self.shapes.value
        if shapes is None or not len(shapes.data):
            raise SettingsError("region: expected a rectangle in a shapes layer, got none: draw one first")
        chosen = sorted(shapes.selected_data) or range(len(shapes.data))
        corners = [image.world_to_data(shapes.data_to_world(corner)) for each in chosen for corner in shapes.data[each]]
        return region_around(np.array(corners)[:, -2:], shape, what="the rectangle")

    def find(self) -> None:
        """Find the nuclei in the background, and add a layer."""
        part, image, path = self.part(), self.image.value, self.model.path
        options = {**self.scale.options, **self.measures.options}

        def call(progress: Progress) -> FoundNuclei:
            return find_nuclei(open_model(path), part, options, progress)

        self.background.run("loading the model", call, lambda found: self._add(found, image))

    def _add(self, found: FoundNuclei, image: Any) -> None:
        common = transform_of(image, found.part.placement)
        if found.cells is not None:
            self.viewer.add_labels(found.cells, name=f"{image.name} cells", opacity=0.3, **common)
        layer = self.viewer.add_labels(
            found.labels, name=f"{image.name} nuclei", features=features_of(found.table), **common
        )
        remember(layer, found.part, found.options)
        if len(found):
            diameter = np.median(2 * np.sqrt(found.table["area"] / np.pi))
            self.result.value = f"{counted(len(found), 'nucleus')}, {diameter:.1f} pixels wide (median)"
        else:
            self.result.value = "no nuclei found"


def _place_shown(viewer: Any, image: Any) -> list[int]:
    """Return the place along each axis of a layer that the sliders are at."""
    shape = image.data[0].shape if image.multiscale else image.data.shape
    place = np.rint(image.world_to_data(viewer.dims.point)).astype(int)
    return np.clip(place, 0, np.array(shape[: image.ndim]) - 1).tolist()  # type: ignore[no-any-return]


def _last_two(viewer: Any) -> tuple[int, int]:
    return viewer.dims.ndim - 2, viewer.dims.ndim - 1
