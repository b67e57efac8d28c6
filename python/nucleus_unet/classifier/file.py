"""Read the file of a classifier: JSON, whose every number is checked. Nothing in it is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nucleus_unet.classifier.model import Classifier
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.io.atomic import read_json
from nucleus_unet.io.paths import check_path

FILE = "classifier.json"
"""Name of the file in the folder that training writes."""

_MOST_BYTES = 2**26


def load_classifier(path: Path | str) -> Classifier:
    """Read a classifier of nuclei, such as ``nucleus-unet classify`` writes. Files of strangers can do no harm.

    Parameters
    ----------
    path
        Of the JSON file, or of the folder that ``nucleus-unet classify`` wrote it to.

    Raises
    ------
    DataError
        If it is damaged, or no classifier.
    OSError
        If it cannot be opened.
    """
    path = check_path(path, "classifier")
    if path.is_dir():
        path /= FILE
        if not path.is_file():
            raise DataError(
                f"{path.parent}: expected a folder that `nucleus-unet classify` wrote, but it has no {FILE}"
            )
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES >> 20} MB")
        return Classifier.from_json(read_json(path))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        told = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise DataError(f"{path}: expected a classifier that `nucleus-unet classify` wrote, but {told}") from error


def check_classifier(name: str, value: Any) -> Classifier:
    """Accept a classifier, or the path of one, which is read."""
    if isinstance(value, Classifier):
        return value
    if not isinstance(value, Path | str):
        raise SettingsError(
            f"{name}: expected a classifier or the path of its file or folder, got {type(value).__name__}"
        )
    return load_classifier(value)
