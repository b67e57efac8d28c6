"""Shared by the widgets: layers of the viewer, choices of a model and of a scale, work in the background."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from nucleus_unet.errors import CancelledError, NucleusError
from nucleus_unet.extras import require
from nucleus_unet.measures.settings import GROUPS
from nucleus_unet.napari.jobs import Job, Progress, Step
from nucleus_unet.napari.models import MODEL_LIST, MODELS, default_folder
from nucleus_unet.segmenter import Segmenter

FOUND, BY_DIAMETER, BY_PIXEL_SIZE = "found from the image", "by diameter, in pixels", "by pixel size of tissue, in µm"
# Models that stay open at once.
_OPEN_MODELS = 2


def gui() -> Any:
    """Return the module of magicgui's widgets."""
    return require("magicgui.widgets", "the plugin needs napari", extra="napari").widgets


def current_viewer() -> Any:
    """Return the viewer that asked for a widget."""
    return require("napari", "the plugin needs napari", extra="napari").current_viewer()


def layers_of(viewer: Any, kind: str) -> list[Any]:
    """Return the layers of a kind, such as ``Image``, the topmost first."""
    layer_class = getattr(require("napari.layers", "the plugin needs napari", extra="napari").layers, kind)
    return [layer for layer in reversed(viewer.layers) if isinstance(layer, layer_class)]


def layer_choice(viewer: Any, kind: str, label: str, tooltip: str) -> Any:
    """Return a box to choose a layer, which follows the layers of the viewer."""
    return gui().ComboBox(
        label=label, choices=lambda _box: layers_of(viewer, kind), nullable=True, value=None, tooltip=tooltip
    )


def panel(panel_object: Any, widgets: list[Any]) -> Any:
    """Return a container of widgets, which napari docks. It keeps alive the object whose methods they call."""
    container = gui().Container(widgets=widgets)
    object.__setattr__(container, "panel", panel_object)
    return container


def message() -> Any:
    """Return a place for a sentence of any length."""
    label = gui().Label(label="", value="")
    label.native.setWordWrap(True)
    return label


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Show the sentence of an error of the library as a notification of napari, in place of a traceback."""

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (NucleusError, OSError) as error:
            show_error(error)
            return None

    return call


def show_error(error: BaseException) -> None:
    """Show the sentence of an error; a call that somebody cancelled is no error."""
    notifications = require("napari.utils.notifications", "the plugin needs napari", extra="napari").utils.notifications
    if isinstance(error, CancelledError):
        notifications.show_info("Cancelled.")
    elif isinstance(error, OSError) and not isinstance(error, NucleusError) and error.filename is not None:
        notifications.show_error(f"{error.filename}: {error.strerror}")
    else:
        notifications.show_error(str(error))


def tell(sentence: str) -> None:
    """Show a sentence as a notification of napari."""
    require("napari.utils.notifications", "the plugin needs napari", extra="napari").utils.notifications.show_info(
        sentence
    )


class Background:
    """Runs one call at a time in the background: a button to cancel, and how far it is.

    Attributes
    ----------
    widgets
        To be shown.
    busy
        Whether a call runs.
    """

    def __init__(self, *, disabled: list[Any]) -> None:
        widgets = gui()
        self._disabled = disabled
        self._bar = widgets.ProgressBar(label="", min=0, max=0, visible=False)
        self._step = message()
        self._cancel = widgets.PushButton(text="Cancel", visible=False)
        self._cancel.changed.connect(self._on_cancel)
        self._job: Job[Any] | None = None
        self.widgets = [self._step, self._bar, self._cancel]
        self._show(running=False)

    @property
    def busy(self) -> bool:
        """See the class."""
        return self._job is not None

    def run(self, name: str, call: Callable[[Progress], Any], on_done: Callable[[Any], object]) -> None:
        """Make a call in the background.

        Parameters
        ----------
        name
            Of its first step.
        call
            Gets the progress that it reports to.
        on_done
            Called with the result, in the thread of the viewer. An error is shown instead.
        """
        if self.busy:
            return
        self._job = job = Job(call, name=name)
        self._show(running=True)
        threading = require("napari.qt.threading", "the plugin needs napari", extra="napari").qt.threading

        # An error is returned, not raised: a worker shows what it raises with a traceback, and not only the sentence.
        def steps() -> Generator[Step, None, Callable[[], object]]:
            try:
                result = yield from job.steps()
            except Exception as error:
                return functools.partial(self._on_error, error)
            return functools.partial(guarded(on_done), result)

        # A name that stays: the worker is gone otherwise before its call ends.
        self._worker = threading.create_worker(
            steps,
            _connect={
                "yielded": self._on_step,
                "returned": lambda then: then(),
                "finished": self._on_finished,
            },
        )

    def _on_step(self, step: Step) -> None:
        self._bar.max = step.total
        self._bar.value = step.done
        self._step.value = f"{step.name} {step.done} / {step.total}" if step.total else f"{step.name} ..."

    def _on_error(self, error: Exception) -> None:
        if not isinstance(error, NucleusError | OSError):
            raise error  # napari shows it with its traceback
        show_error(error)

    def _on_finished(self) -> None:
        self._job = None
        self._show(running=False)

    def _on_cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._step.value = "cancelling ..."

    def _show(self, *, running: bool) -> None:
        for widget in self.widgets:
            widget.visible = running
        for widget in self._disabled:
            widget.enabled = not running


class ModelChoice:
    """A box with the models, and a way to add one from disk. A model that is fine-tuned appears at once."""

    def __init__(self, label: str = "model") -> None:
        widgets = gui()
        MODEL_LIST.add_folder(default_folder() / MODELS)
        self.box = widgets.ComboBox(
            label=label,
            choices=lambda _box: MODEL_LIST.names(),
            tooltip="A model of the package (the small one is faster), or one that you fine-tuned.",
        )
        self._open = widgets.FileEdit(
            label="other model", mode="d", value="", tooltip="Folder of a model, as nucleus-unet train writes it."
        )
        self._open.changed.connect(guarded(self._on_open))
        forget = MODEL_LIST.on_change(self._refresh)
        self.box.native.destroyed.connect(lambda *_: forget())
        self.widgets = [self.box, self._open]

    @property
    def path(self) -> Path | None:
        """Of the chosen bundle; None for the embedded one."""
        return MODEL_LIST.path(self.box.value)

    def _refresh(self) -> None:
        chosen = self.box.value
        self.box.reset_choices()
        self.box.value = chosen

    def _on_open(self, path: Path) -> None:
        from nucleus_unet.model.bundle import load_bundle

        if str(path) in ("", "."):
            return
        load_bundle(path)  # says what is wrong with it
        MODEL_LIST.add(path)
        self.box.value = path.name


@functools.lru_cache(maxsize=_OPEN_MODELS)
def open_model(path: Path | None) -> Segmenter:
    """Open a model; it stays open for the next call."""
    return Segmenter.from_pretrained(path)


class ScaleChoice:
    """How the scale is decided: found from the image, or by a number."""

    def __init__(self) -> None:
        widgets = gui()
        self.how = widgets.ComboBox(
            label="scale",
            choices=[FOUND, BY_DIAMETER, BY_PIXEL_SIZE],
            tooltip="Give a number where the scale that is found is wrong. A pixel size scales stained tissue only.",
        )
        self.value = widgets.FloatSpinBox(label="", value=20.0, min=0.01, max=10_000.0, step=0.5, visible=False)
        self.how.changed.connect(self._on_how)
        self.widgets = [self.how, self.value]

    def _on_how(self, how: str) -> None:
        self.value.visible = how != FOUND
        if how == BY_DIAMETER and self.value.value < 2:
            self.value.value = 20.0
        if how == BY_PIXEL_SIZE and self.value.value > 2:
            self.value.value = 0.25

    @property
    def options(self) -> dict[str, Any]:
        """The options of `Segmenter.predict`."""
        if self.how.value == FOUND:
            return {}
        return {"diameter" if self.how.value == BY_DIAMETER else "mpp": float(self.value.value)}


class MeasureChoice:
    """Which measures the table gets, and whether cells are made."""

    def __init__(self) -> None:
        widgets = gui()
        self.groups = widgets.Select(
            label="measures",
            choices=list(GROUPS),
            value=[],
            tooltip="Further columns of the table. Hold Ctrl to choose several or none.",
        )
        self.groups.native.setFixedHeight(96)
        self.reach = widgets.FloatSpinBox(
            label="cells reach",
            value=0.0,
            min=0.0,
            max=1000.0,
            step=1.0,
            tooltip="Pixels that cells reach beyond their nuclei. 0: no cells.",
        )
        self.widgets = [self.groups, self.reach]

    @property
    def options(self) -> dict[str, Any]:
        """The options of `Segmenter.predict`."""
        options: dict[str, Any] = {}
        if self.groups.value:
            options["measure"] = tuple(self.groups.value)
        if self.reach.value > 0:
            options["expand"] = float(self.reach.value)
        return options
