"""Options: every one is checked, documented and offered once."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_type_hints

import numpy as np
import pytest
from nucleus_unet import Segmenter
from nucleus_unet.errors import CancelledError, SettingsError
from nucleus_unet.options import (
    PredictKeywords,
    PredictOptions,
    SlideKeywords,
    SlideOptions,
    parse_options,
)
from numpy.typing import NDArray
from PIL import Image

KINDS = [(PredictOptions, PredictKeywords, Segmenter.predict), (SlideOptions, SlideKeywords, Segmenter.predict_slide)]


def disc(size: int = 64) -> NDArray[np.uint8]:
    rows, columns = np.ogrid[:size, :size]
    return np.where((rows - size / 2) ** 2 + (columns - size / 2) ** 2 < 100, 200, 0).astype(np.uint8)


@pytest.mark.parametrize(("kind", "keywords", "function"), KINDS)
def test_type_checkers_signatures_and_documentation_name_the_same_options(
    kind: type[PredictOptions], keywords: Any, function: Any
) -> None:
    names = {each.name for each in dataclasses.fields(kind)}
    assert set(get_type_hints(keywords)) == names
    assert get_type_hints(keywords) == {name: get_type_hints(kind)[name] for name in names}
    assert names <= set(inspect.signature(function).parameters)
    assert all(f"\n{name} : " in inspect.cleandoc(function.__doc__) for name in names)


@pytest.mark.parametrize("kind", [PredictOptions, SlideOptions])
def test_defaults_are_taken_and_come_back_as_keywords(kind: type[PredictOptions]) -> None:
    assert kind(**kind().keywords()) == kind()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("threshold", 1.5, "threshold: expected a probability of 0 to 1, got 1.5"),
        ("threshold", "0.5", "threshold: expected a probability, got '0.5'"),
        ("threshold", True, "threshold: expected a probability, got True"),
        ("threshold", float("nan"), "threshold: expected a probability of 0 to 1, got nan"),
        ("min_area", 2.5, "min_area: expected a whole number of pixels, 0 or more, or a share of the median area"),
        ("min_area", -1, "min_area: expected a whole number of pixels, 0 or more"),
        ("diameter", "20", "diameter: expected a number, got '20'"),
        ("mpp", [1], r"mpp: expected a pixel size in micrometres, got \[1\]"),
        ("mpp", -1, "mpp: expected a pixel size in micrometres of 0.0001 to 10000, got -1"),
        ("mpp", 1e-300, "mpp: expected a pixel size in micrometres of 0.0001 to 10000, got 1e-300"),
        ("channel", True, "channel: expected the number or the name of a channel, got True"),
        ("channel", 1.0, "channel: expected the number or the name of a channel, got 1.0"),
        ("channel_axis", "0", "channel_axis: expected a whole number .* got '0'"),
        ("augment", "no", "augment: expected True or False, got 'no'"),
        ("augment", None, "augment: expected True or False, got None"),
        ("dab", 1, "dab: expected True or False, got 1"),
        ("maps", "yes", "maps: expected True or False, got 'yes'"),
        ("tile", 0, "tile: expected a whole number of at least 1, got 0"),
        ("batch_size", None, "batch_size: expected a whole number of at least 1, got None"),
        ("progress", "bar", "progress: expected True, False or a function"),
        ("cancel", True, "cancel: expected an event"),
        ("cancel", threading.Event, "cancel: expected an event"),
        ("diameter", 10**400, "diameter: expected a finite number, got inf"),
        ("augment", np.array([True, False]), "augment: expected True or False"),
        ("tile", np.array([300]), "tile: expected a whole number"),
    ],
)
def test_a_value_of_another_type_or_out_of_range_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_options(PredictOptions, {name: value})


def test_numbers_of_numpy_become_plain_numbers() -> None:
    options = parse_options(SlideOptions, {"block": np.uint8(255), "mpp": np.float32(0.25), "channel": np.int64(1)})
    assert [type(value) for value in (options.block, options.mpp, options.channel)] == [int, float, int]
    assert (options.block, options.mpp) == (255, 0.25)


@pytest.mark.parametrize("value", [True, False, np.True_, np.bool_(False)])
def test_numpy_truth_values_are_truth_values(value: Any) -> None:
    assert parse_options(PredictOptions, {"augment": value}).augment == value


def test_a_misspelt_option_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(TypeError, match="there is no option 'theshold'; did you mean threshold"):
        Segmenter.from_pretrained().predict(disc(), theshold=0.5)  # type: ignore[call-overload]


@pytest.mark.parametrize("several", [list, tuple, iter, lambda images: (each for each in images)])
def test_many_images_give_a_list_in_their_order(several: Any) -> None:
    segmenter = Segmenter.from_pretrained()
    images = [disc(), np.zeros((40, 50), np.uint8), np.tile(disc(), (1, 2))]
    found = segmenter.predict(several(images))
    assert [len(each) for each in found] == [1, 0, 2]
    assert [each.labels.shape for each in found] == [image.shape for image in images]


def test_rows_of_numbers_are_one_image() -> None:
    assert len(Segmenter.from_pretrained().predict(disc().tolist())) == 1  # type: ignore[call-overload]


def test_a_list_of_pillow_images_is_many_images() -> None:
    found = Segmenter.from_pretrained().predict([Image.fromarray(disc()), Image.fromarray(np.tile(disc(), (1, 2)))])
    assert [len(each) for each in found] == [1, 2]


def test_a_function_is_told_of_progress() -> None:
    calls: list[tuple[str, int, int]] = []
    Segmenter.from_pretrained().predict([disc(), disc()], progress=lambda *call: calls.append(call))
    assert calls == [("images", 0, 2), ("images", 1, 2), ("images", 2, 2)]


def test_another_thread_cancels_a_call() -> None:
    segmenter, cancel = Segmenter.from_pretrained(), threading.Event()
    image = np.tile(disc(), (10, 10))

    def images() -> Iterator[NDArray[np.uint8]]:
        yield from [image] * 3

    with pytest.raises(CancelledError):
        segmenter.predict(
            images(), cancel=cancel, progress=lambda _step, done, _all: cancel.set() if done == 1 else None
        )
    with pytest.raises(CancelledError):
        segmenter.predict(image, cancel=cancel)


def test_a_call_is_cancelled_while_it_finds_the_scale() -> None:
    steps: list[Any] = []
    segmenter, cancel = Segmenter.from_pretrained(), threading.Event()

    def report(*step: Any) -> None:
        steps.append(step)
        cancel.set()

    with pytest.raises(CancelledError):
        segmenter.predict(np.tile(disc(), (10, 10)), cancel=cancel, progress=report)
    assert steps == [("finding the scale", 0, 1)]


def test_images_in_progress_are_cancelled_unless_the_event_is_the_callers() -> None:
    with PredictOptions().for_each() as options:
        assert options.cancel is not None
        assert not options.cancel.is_set()
    assert options.cancel.is_set()
    own = threading.Event()
    with PredictOptions(cancel=own).for_each() as options:
        assert options.cancel is own
    assert not own.is_set()


def test_a_slide_that_was_cancelled_resumes(tmp_path: Any) -> None:
    segmenter, cancel, slide = Segmenter.from_pretrained(), threading.Event(), np.tile(disc(), (12, 12))
    cancelled = {"cancel": cancel, "progress": lambda _step, done, _all: cancel.set() if done == 1 else None}
    with pytest.raises(CancelledError):
        segmenter.predict_slide(slide, out=tmp_path, tile=512, **cancelled)
    assert len(segmenter.predict_slide(slide, out=tmp_path, tile=512)) == 144


def test_a_segmenter_says_what_it_is() -> None:
    text = repr(Segmenter.from_pretrained(device="cpu", precision="float32"))
    assert text == "Segmenter('embedded', device='cpu', precision='float32', diameter=21.2 pixels)"


def test_a_segmenter_can_be_pickled() -> None:
    segmenter = Segmenter.from_pretrained(device="cpu", precision="float32")
    copy = pickle.loads(pickle.dumps(segmenter))
    assert copy.bundle.fingerprint == segmenter.bundle.fingerprint
    assert copy.precision == "float32"
    np.testing.assert_array_equal(copy.predict(disc()).labels, segmenter.predict(disc()).labels)


def test_many_threads_may_use_one_segmenter() -> None:
    segmenter = Segmenter.from_pretrained()
    images = [np.roll(np.tile(disc(), (2, 2)), shift, axis=1) for shift in range(0, 48, 6)]
    expected = [segmenter.predict(image).labels for image in images]
    with ThreadPoolExecutor(4) as pool:
        for labels, found in zip(expected, pool.map(segmenter.predict, images), strict=True):
            np.testing.assert_array_equal(found.labels, labels)
