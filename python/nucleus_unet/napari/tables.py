"""The table of a label image that somebody corrected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.io.selection import Selection
from nucleus_unet.io.source import open_image
from nucleus_unet.measures.channels import channel_planes, check_measurable
from nucleus_unet.measures.image import measure_image
from nucleus_unet.measures.settings import resolve_settings
from nucleus_unet.napari.finding import Part, in_layer
from nucleus_unet.preprocessing.normalisation import grey_values

Table = dict[str, NDArray[Any]]

# Columns by which a nucleus is recognised, and columns that only the model knows.
_IDENTITY = ("label", "area", "row", "column")
_CERTAINTIES = ("probability", "quality")


def measure_again(
    part: Part, labels: NDArray[np.uint32], options: Mapping[str, Any], before: Mapping[str, Any]
) -> Table:
    """Measure the nuclei of a label image that was corrected.

    Parameters
    ----------
    part
        What the labels were found in.
    labels : NDArray[np.uint32]
        Label image of the shape of ``part.placement``.
    options
        ``measure``, ``expand`` and ``neighbour_radius``, as `Segmenter.predict` takes them; others are passed over.
    before
        The table before the correction. A nucleus of the same area at the same place keeps its probability and quality;
        those of others are not known (NaN).

    Returns
    -------
    dict
        Columns as `nucleus_unet.napari.finding.FoundNuclei` has them.
    """
    planes = part.planes()
    tables = []
    for plane, pixels in zip(planes, labels.reshape(len(planes), *part.region.shape), strict=True):
        tables.append(in_layer(_measure(part, pixels, plane, options), part, plane, first=0))
    table = {name: np.concatenate([each[name] for each in tables]) for name in tables[0]}
    return _with_certainties(table, before)


def _measure(part: Part, labels: NDArray[np.uint32], plane: Mapping[str, Any], options: Mapping[str, Any]) -> Table:
    numbered, present = _core.relabel_sequential(np.ascontiguousarray(labels))  # `present` begins with background
    with open_image(part.window, axes=part.axes) as source:
        selection = Selection(**{name: plane[name] for name in ("time", "z", "channel") if name in plane})
        place = selection.places(source)[0]
        image = source.read(selection.open(source, place))
        grey, unit = grey_values(image, None)
        _, area, box, centroid, intensity = _core.measure(numbered, intensity=grey)
        assert intensity is not None  # as an image was given
        table: Table = {"label": present[1:], "row": centroid[:, 0], "column": centroid[:, 1]}
        table |= dict(zip(("top", "left", "bottom", "right"), box.T, strict=True))
        table |= {"area": area, "intensity": intensity * unit}
        table |= {name: np.full(len(area), np.nan, np.float32) for name in _CERTAINTIES}
        settings = resolve_settings(
            options.get("measure"), options.get("expand"), options.get("neighbour_radius", 100.0), None
        )
        if settings is not None:
            channels = channel_planes(source, selection, place)
            check_measurable(channels.values(), settings)
            table |= measure_image(source, channels, image, numbered, settings)[0]
    order = np.argsort(table["label"])
    return {name: values[order] for name, values in table.items()}


def _with_certainties(table: Table, before: Mapping[str, Any]) -> Table:
    if not set(_IDENTITY) <= set(before):
        return table
    keys = [zip(*(np.asarray(each[name]).tolist() for name in _IDENTITY), strict=True) for each in (before, table)]
    place_of = {key: place for place, key in enumerate(keys[0])}
    places = np.array([place_of.get(key, len(place_of)) for key in keys[1]], np.intp)
    known = {
        name: np.append(np.asarray(before[name], np.float32), np.float32(np.nan))[places]
        for name in _CERTAINTIES
        if name in before
    }
    return {**table, **known}


def without(table: Mapping[str, Any], labels: NDArray[Any]) -> Table:
    """Return a table without the rows of some labels, as those that were changed.

    Examples
    --------
    >>> without({"label": np.array([1, 2, 3]), "area": np.array([5, 6, 7])}, np.array([2]))
    {'label': array([1, 3]), 'area': array([5, 7])}
    """
    kept = ~np.isin(np.asarray(table["label"]), labels)
    return {str(name): np.asarray(values)[kept] for name, values in table.items()}
