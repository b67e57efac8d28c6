"""The widget that segments a slide in the background, and opens what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nucleus_unet.errors import SettingsError
from nucleus_unet.napari.jobs import Progress
from nucleus_unet.napari.regions import geojson_of
from nucleus_unet.napari.results import MOST_ROWS, layers_of, open_results, open_slide
from nucleus_unet.napari.widgets.common import (
    Background,
    MeasureChoice,
    ModelChoice,
    ScaleChoice,
    current_viewer,
    guarded,
    gui,
    layer_choice,
    message,
    open_model,
    panel,
    tell,
)
from nucleus_unet.slides.result import SlideResult
from nucleus_unet.wording import counted

_POLYGONS = ("rectangle", "polygon")


def segment_slide() -> Any:
    """Return the widget."""
    return SlidePanel(current_viewer()).container


class SlidePanel:
    """Runs `Segmenter.predict_slide`; the same run resumes; results open lazily."""

    def __init__(self, viewer: Any) -> None:
        widgets = gui()
        self.viewer = viewer
        self.slide = widgets.FileEdit(
            label="slide", mode="r", tooltip="TIFF, SVS, OME-TIFF, NDPI, MRXS, CZI, DICOM ..."
        )
        self.out = widgets.FileEdit(label="results", mode="d", tooltip="Folder for the results.")
        self.regions = layer_choice(
            viewer, "Shapes", "regions", "Rectangles and polygons, drawn on the slide; or all of it."
        )
        self.scale, self.model, self.measures = ScaleChoice(), ModelChoice(), MeasureChoice()
        self.tissue = widgets.CheckBox(text="skip empty glass", value=True)
        self.show = widgets.PushButton(text="Show the slide")
        self.button = widgets.PushButton(text="Find nuclei, or resume")
        self.open = widgets.PushButton(text="Open results")
        self.told = message()
        self.background = Background(disabled=[self.button])
        self.container = panel(
            self,
            [
                *(self.slide, self.show, self.out, self.regions, *self.scale.widgets, *self.model.widgets),
                *(*self.measures.widgets, self.tissue, self.button, *self.background.widgets, self.open, self.told),
            ],
        )
        self.slide.changed.connect(self._on_slide)
        self.show.changed.connect(guarded(self.show_slide))
        self.button.changed.connect(guarded(self.start))
        self.open.changed.connect(guarded(self.open_results))

    def _on_slide(self, slide: Path) -> None:
        self.out.value = slide.with_name(f"{slide.stem}.nuclei")

    def _paths(self) -> tuple[Path, Path]:
        slide, out = Path(self.slide.value), Path(self.out.value)
        if str(slide) in ("", "."):
            raise SettingsError("slide: expected a file, got none: choose one first")
        return slide, out

    def show_slide(self) -> None:
        """Add the picture of the slide, which is read as it is shown."""
        slide, _ = self._paths()
        levels = open_slide(slide)
        if levels is None:
            raise SettingsError(
                f"{slide.name}: expected a TIFF pyramid to be shown, got another format: find nuclei, then its "
                "thumbnail is shown with the results"
            )
        several = len(levels) > 1
        data = levels if several else levels[0]
        self.viewer.add_image(data, name=slide.stem, multiscale=several, rgb=levels[0].ndim == 3)

    def start(self) -> None:
        """Run the slide in the background; a run that was cancelled or killed goes on."""
        slide, out = self._paths()
        path, options = self.model.path, {**self.scale.options, **self.measures.options, "tissue": self.tissue.value}
        if self.regions.value is not None:
            options["roi"] = self._roi(self.regions.value)

        def call(progress: Progress) -> SlideResult:
            model = open_model(path)
            result: SlideResult = model.predict_slide(
                slide, out=out, **options, progress=progress.report, cancel=progress.cancel
            )
            return result

        self.background.run("loading the model", call, self._done)

    def _done(self, result: SlideResult) -> None:
        self.told.value = f"{counted(len(result), 'nucleus')} in {result.folder.name}"
        self._add(result.folder)

    def open_results(self) -> None:
        """Open the results of a finished slide."""
        out = Path(self.out.value)
        if str(out) in ("", "."):
            raise SettingsError("results: expected the folder of a finished slide, got none: choose one first")
        self._add(out)

    def _add(self, folder: Path) -> None:
        view = open_results(folder)
        for data, options, kind in layers_of(view):
            if kind == "image" and Path(self.slide.value).stem in self.viewer.layers:
                continue  # the slide itself is shown, which the thumbnail would cover
            getattr(self.viewer, f"add_{kind}")(data, **options)
        if view.table is None:
            tell(
                f"{view.count} nuclei are more than {MOST_ROWS}: the layer has no table; nuclei.parquet in {folder} has"
            )

    def _roi(self, shapes: Any) -> dict[str, Any]:
        others = sorted(set(shapes.shape_type) - set(_POLYGONS))
        if others or not len(shapes.data):
            raise SettingsError(
                f"regions: expected rectangles and polygons, got {', '.join(others) or 'an empty layer'}: draw some"
            )
        # Slides and results are shown pixel by pixel, so that world coordinates are pixels of the slide.
        return geojson_of([np.array([shapes.data_to_world(corner)[-2:] for corner in each]) for each in shapes.data])
