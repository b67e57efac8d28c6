"""The models that can be chosen: the embedded ones, those that were fine-tuned here, and those somebody named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from nucleus_unet.errors import SettingsError
from nucleus_unet.model.bundle import CONFIG, EMBEDDED

# In the folder of fine-tuning: the labelled set, and the models.
TRAINING_SET, MODELS = "training-set", "models"


def default_folder() -> Path:
    """Return the folder of fine-tuning: ``nucleus-unet`` in the home folder."""
    return Path.home() / "nucleus-unet"


class ModelList:
    """Models by name. Widgets ask for them again when one is added.

    Examples
    --------
    >>> models = ModelList()
    >>> models.add(Path("somewhere") / "mine")
    >>> models.names(), models.path("mine").name, str(models.path("small"))
    (['embedded', 'small', 'mine'], 'mine', 'small')
    """

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}
        self._listeners: list[Callable[[], object]] = []

    def on_change(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call a function whenever a model is added, until the function is called that this one returns."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def names(self) -> list[str]:
        """Return the names of the models, the embedded ones first."""
        return [*EMBEDDED, *(name for name in self._paths if name not in EMBEDDED)]

    def path(self, name: str) -> Path | None:
        """Return the path of a bundle, as `Segmenter.from_pretrained` takes it; None for the default."""
        return None if name == EMBEDDED[0] else self._paths.get(name, Path(name))

    def add(self, path: Path) -> None:
        """Add a bundle. Its name is that of its folder or archive; another of that name is replaced."""
        self._paths[path.stem if path.suffix == ".zip" else path.name] = path
        for listener in list(self._listeners):
            listener()

    def add_folder(self, folder: Path) -> None:
        """Add the bundles that lie in a folder, if it exists."""
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if (path / CONFIG).exists():
                    self.add(path)


MODEL_LIST = ModelList()
"""The models of this napari."""


def check_new_name(name: str, folder: Path) -> Path:
    """Return the folder of a model that is to be made.

    Raises
    ------
    SettingsError
        If the name is no name of a folder, is that of an embedded model, or of a model that was not trained there.
    """
    if not re.fullmatch(r"[\w][\w .-]*", name) or name.endswith((".", " ")) or name in EMBEDDED:
        raise SettingsError(
            f"model: expected a name of letters, digits, spaces, dots and hyphens, and not "
            f"{' or '.join(EMBEDDED)}, got {name!r}"
        )
    path = folder / MODELS / name
    if (path / CONFIG).exists():
        raise SettingsError(f"model: {path} holds a finished model: give the new one another name")
    return path
