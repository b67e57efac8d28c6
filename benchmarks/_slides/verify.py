"""Compare every picture of a sparse slide with what is found in it alone, under the slide's plan.

Run by ``slide_kills.py`` as ``python -m _slides.verify SIDE PICTURES FOLDER [MODEL]``: prints a line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.predict import predict_maps
from nucleus_unet.masks import relabel_by_position
from nucleus_unet.model.bundle import load_bundle
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.preprocessing.levels import Levels
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.preprocessing.padding import Padding
from numpy.typing import NDArray

from _slides.sparse import MARGIN, SparseSlide


def main() -> None:
    """Compare and print."""
    side, pictures, folder, *model = sys.argv[1:]
    slide = SparseSlide(int(side), int(pictures))
    print(json.dumps(verify(slide, Path(folder), Path(model[0]) if model else None)))


def verify(slide: SparseSlide, folder: Path, model: Path | None) -> dict[str, Any]:
    """Count pictures whose labels on the slide are not those of `predict` on the picture and its ground alone."""
    plan = json.loads((folder / "plan.json").read_text())["prediction"]
    if plan["scale"] != 1 or plan["augment"]:
        sys.exit("expected a run at the slide's own scale, without augment: pictures alone are predicted so")
    store: Any = tifffile.imread(folder / "labels.tif", aszarr=True, level=0)
    labels: Any = zarr.open(store, mode="r")
    alone: dict[tuple[str, int], NDArray[np.uint32]] = {}
    nuclei, wrong = 0, []
    for place in slide.places:
        kind = (place.picture, place.turn)
        if kind not in alone:
            alone[kind] = _predict(slide.crop(place), plan, model)
        expected = alone[kind]
        top, left = place.row - MARGIN, place.column - MARGIN
        found = labels[top : top + expected.shape[0], left : left + expected.shape[1]]
        nuclei += int(expected.max())
        if not np.array_equal(relabel_by_position(found)[0], expected):
            wrong.append([place.row, place.column])
    return {"pictures": len(slide.places), "nuclei": nuclei, "wrong": wrong}


def _predict(crop: NDArray[np.uint8], plan: dict[str, Any], model: Path | None) -> NDArray[np.uint32]:
    """Do what `Segmenter.predict` does, with the slide's levels, which the crop would not have."""
    engine = open_engine(load_bundle(model), device=plan["device"], precision=plan["precision"])
    image = Levels(IntensityRange(*plan["intensity_range"]), Padding.from_json(plan["padding"])).normalise(crop)
    maps = predict_maps(engine, lambda *part: image[part], crop.shape[:2], tile=max(crop.shape))
    return group(maps, GroupConfig.from_json(plan["group"])).labels


if __name__ == "__main__":
    main()
