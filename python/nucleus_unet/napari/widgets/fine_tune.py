"""The widget that fine-tunes a model on corrected labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nucleus_unet.errors import SettingsError
from nucleus_unet.napari.finding import plane_images
from nucleus_unet.napari.fine_tuning import FineTuning, check_extra, fine_tune
from nucleus_unet.napari.jobs import Progress
from nucleus_unet.napari.models import MODEL_LIST, MODELS, TRAINING_SET, check_new_name, default_folder
from nucleus_unet.napari.training_set import Corrected, write_training_set
from nucleus_unet.napari.widgets.common import (
    Background,
    ModelChoice,
    current_viewer,
    guarded,
    gui,
    layers_of,
    message,
    panel,
    tell,
)
from nucleus_unet.napari.widgets.layers import Source, label_array, source_of

_SAMPLES = 800


def fine_tune_on_corrected() -> Any:
    """Return the widget."""
    return FineTunePanel(current_viewer()).container


class FineTunePanel:
    """Writes a labelled set from the chosen layers, and trains in a process of its own."""

    def __init__(self, viewer: Any) -> None:
        widgets = gui()
        self.viewer = viewer
        self.layers = widgets.Select(
            label="corrected",
            choices=lambda _box: layers_of(viewer, "Labels"),
            tooltip="Label layers whose nuclei are all right. Hold Ctrl to choose several.",
        )
        self.layers.native.setFixedHeight(96)
        self.model = ModelChoice("begin with")
        self.folder = widgets.FileEdit(
            label="folder",
            mode="d",
            value=default_folder(),
            tooltip="Keeps the training set, to which images are added, and the models.",
        )
        self.name = widgets.LineEdit(label="new model", value="", tooltip="Name of the new model.")
        self.samples = widgets.SpinBox(
            label="samples", value=_SAMPLES, min=8, max=1_000_000, step=100, tooltip="Length of the training."
        )
        self.button = widgets.PushButton(text="Fine-tune on corrected")
        self.told = message()
        self.background = Background(disabled=[self.button])
        self.container = panel(
            self,
            [
                *(self.layers, *self.model.widgets, self.folder, self.name, self.samples),
                *(self.button, *self.background.widgets, self.told),
            ],
        )
        self.folder.changed.connect(self._suggest_name)
        self.button.changed.connect(guarded(self.start))
        self.layers.reset_choices()
        self.layers.value = layers_of(viewer, "Labels")
        self._suggest_name()

    def _suggest_name(self, _folder: Any = None) -> None:
        models = Path(self.folder.value) / MODELS
        number = 1
        while (models / f"fine-tuned-{number}").exists():
            number += 1
        self.name.value = f"fine-tuned-{number}"

    def start(self) -> None:
        """Write the training set, and train in the background."""
        check_extra()
        if not self.layers.value:
            raise SettingsError("fine-tune: expected at least one label layer, got none: find and correct nuclei first")
        folder = Path(self.folder.value)
        out, origin, samples = check_new_name(self.name.value, folder), self.model.path, int(self.samples.value)
        chosen = [(layer.name, source_of(self.viewer, layer), label_array(layer)) for layer in self.layers.value]

        def call(progress: Progress) -> tuple[Path, dict[str, Any]]:
            progress.report("writing the training set", 0, 0)
            corrected = [each for layer in chosen for each in _planes(*layer)]
            write_training_set(folder / TRAINING_SET, corrected)
            run = FineTuning(folder / TRAINING_SET, out, origin, samples)
            return out, fine_tune(run, progress)

        self.background.run("writing the training set", call, self._add)

    def _add(self, result: tuple[Path, dict[str, Any]]) -> None:
        path, metrics = result
        MODEL_LIST.add(path)
        now = metrics["validation"]["overall"]["pooled_ap"]["0.50"]
        before = metrics["origin"].get("validation_pooled_ap50")
        was = "" if before is None else f"{before:.3f} before, "
        self.told.value = f"{path.name}: AP50 on what was held out {was}{now:.3f} now"
        tell(f"The model {path.name} is ready, and can be chosen in 'Segment nuclei'.")
        self._suggest_name()


def _planes(name: str, source: Source, labels: Any) -> list[Corrected]:
    """Return the planes of a label layer with their pixels; those without nuclei are left out."""
    planes = labels.reshape(-1, *labels.shape[-2:])
    images = list(plane_images(source.part))
    several = len(planes) > 1
    return [
        Corrected(f"{name}-{number}" if several else name, image, plane)
        for number, (plane, image) in enumerate(zip(planes, images, strict=True))
        if plane.any()
    ]
