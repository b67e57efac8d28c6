"""A slide is surveyed once: what a resumed run reads back is what was surveyed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from nucleus_unet.io.source import open_image
from nucleus_unet.options import SlideOptions
from nucleus_unet.slides.plan import Survey, survey_slide


@pytest.mark.parametrize("shape", [(300, 1600), (300, 1600, 3), (1, 1), (90, 1), (1, 90)])
def test_a_survey_is_read_back_as_it_was_saved(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with open_image(pixels) as source:
        survey = survey_slide(SlideOptions().selection.only(source), cell=64, workers=1)
    again = Survey.from_json(json.loads(json.dumps(survey.to_json())))
    assert (again.pixels, again.levels, again.stains) == (survey.pixels, survey.levels, survey.stains)
    assert again.tissue.fingerprint == survey.tissue.fingerprint
    assert again.thumbnail.dtype == np.uint8
    np.testing.assert_array_equal(again.thumbnail, survey.thumbnail)
