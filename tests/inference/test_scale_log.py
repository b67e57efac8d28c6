"""The log names what was wrong with an image once, whether it is one of many or alone."""

import logging
from typing import Any

import numpy as np
import pytest
from nucleus_unet import Segmenter
from nucleus_unet.inference.scale_log import log_nothing_found, log_searches, without_log_of_images
from nucleus_unet.options import PredictOptions
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


@pytest.fixture(scope="module")
def embedded() -> Segmenter:
    return Segmenter.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def doubtful() -> NDArray[np.uint8]:
    """Return noise of few grey levels, in which doubtful nuclei are found."""
    noise = gaussian_filter(np.random.default_rng(0).standard_normal((600, 600)), 4)
    return np.clip(np.rint(4 + noise / noise.std()), 0, 255).astype(np.uint8)


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_the_doubtful_images_of_a_list_are_counted_in_one_line(
    embedded: Segmenter, doubtful: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    assert all(len(each) for each in embedded.predict([doubtful, doubtful.T]))
    (warning,) = warnings_of(caplog)
    assert warning.startswith("doubtful nuclei in 2 of 2 images (expected_msa in the plan of each result is")


def test_the_doubtful_planes_of_a_stack_are_counted_in_one_line(
    embedded: Segmenter, doubtful: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in embedded.predict(np.stack([doubtful, doubtful.T]), axes="ZYX", z="all"):
        assert not warnings_of(caplog)
    (warning,) = warnings_of(caplog)
    assert warning.startswith("doubtful nuclei in 2 of 2 planes")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "give their diameter in pixels"),
        ({"diameter": 30.0}, "their diameter may be another one"),
        ({"min_quality": 1.0, "min_area": 9}, "other values of min_quality, min_area may keep some"),
    ],
)
def test_where_nothing_is_found_the_hint_names_what_the_user_gave(
    options: dict[str, Any], hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    log_nothing_found(1.0, PredictOptions(**options))
    (warning,) = warnings_of(caplog)
    assert hint in warning


def test_where_something_is_found_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with without_log_of_images():
        log_nothing_found(1.0, PredictOptions())
    log_searches([(1.0, 0.9), (1.0, None)], "image", "a table", is_told=False)
    assert not warnings_of(caplog)


@pytest.mark.parametrize(
    ("is_told", "said"), [(False, "2 of 3 images, 1 by 0.5, 1 by 2"), (True, "1 of 3 images, 1 by 0.5")]
)
def test_scales_that_the_user_did_not_give_are_counted(
    is_told: bool, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        log_searches([(1.0, 0.9), (0.5, 0.8), (2.0, None)], "image", "a table", is_told=is_told)
    assert f"scaled by the size of nuclei or pixels: {said} (" in caplog.text


def test_nuclei_that_are_dropped_by_their_area_are_told_at_any_scale(
    embedded: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    image = np.zeros((200, 200), np.uint8)
    image[50:70, 50:70] = image[120:140, 110:130] = 200
    assert len(embedded.predict(image, diameter=60, min_area=100_000)) == 0
    assert "other values of min_area may keep some" in caplog.text
