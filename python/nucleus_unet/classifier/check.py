"""Check before long work that a classifier fits an image."""

from __future__ import annotations

from collections.abc import Mapping

from nucleus_unet.classifier.model import Classifier
from nucleus_unet.io.plane import Plane
from nucleus_unet.measures.region import measured_columns
from nucleus_unet.measures.settings import MeasureSettings

FIRST_COLUMNS = ("area", "intensity", "probability")
"""Columns that every table has and that may tell a class. The quality is none, as some models have not learned it."""


def check_fits(
    classifier: Classifier, planes: Mapping[str, Plane], settings: MeasureSettings, fingerprint: str
) -> None:
    """Check that the table of an image will have the columns of a classifier, and log other differences.

    Parameters
    ----------
    classifier
        The classifier.
    planes
        Channels of the image, from `nucleus_unet.measures.channels.channel_planes`.
    settings
        What is measured.
    fingerprint
        Of the model that finds the nuclei.

    Raises
    ------
    SettingsError
        If a column will be missing.
    """
    classifier.check_columns({*FIRST_COLUMNS, *measured_columns(planes, settings)})
    classifier.tell_differences(settings.mpp, fingerprint)
