"""Calls of kernels: from several threads at once, and interrupted by signals."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.commands import run_script
from nucleus_unet import _core, masks
from nucleus_unet.errors import MaskError
from numpy.typing import NDArray

CALLS_AT_ONCE = 6


def fields() -> list[NDArray[np.uint32]]:
    """Squares of random places and labels, another field for each call."""
    drawn = []
    for seed in range(CALLS_AT_ONCE):
        rng = np.random.default_rng(seed)
        labels = np.zeros((300, 200 + 10 * seed), np.uint32)
        for label in range(1, 60):
            row, column = rng.integers(0, 290), rng.integers(0, 190)
            labels[row : row + 12, column : column + 9] = label
        drawn.append(labels)
    return drawn


KERNELS = {
    "encoding": lambda labels, threads: masks.labels_to_coco(labels, threads=threads),
    "decoding": lambda labels, threads: masks.kaggle_to_labels(
        masks.labels_to_kaggle(labels).values(), labels.shape, threads=threads
    )[0].tolist(),
    "components": lambda labels, threads: masks.label(labels, threads=threads).tolist(),
    "distance": lambda labels, threads: masks.distance(labels, threads=threads).tolist(),
    "overlaps": lambda labels, threads: masks.overlap_table(labels, labels[::-1], threads=threads).pixels.tolist(),
    "measuring": lambda labels, threads: _core.measure(labels, threads=threads)[1].tolist(),
    "outlines": lambda labels, _: [[[r.tolist() for r in rings] for rings in each] for each in _core.contours(labels)],
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_calls_at_once_from_several_threads_give_what_each_gives_alone(kernel):
    work, images = KERNELS[kernel], fields()
    alone = [work(labels, None) for labels in images]
    # Different numbers of threads, so that the calls also change the pool under each other.
    threads = [None, 1, 2, 3, 1, 2]
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        for _ in range(5):
            assert list(pool.map(work, images, threads)) == alone


def test_a_faulty_call_does_not_disturb_those_beside_it():
    labels = fields()[0]
    expected = masks.labels_to_kaggle(labels)

    def refused(_: int) -> str:
        with pytest.raises(MaskError, match="start 9"):
            masks.kaggle_to_labels(["9 9"], (2, 2), threads=2)
        return "refused"

    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
        faulty = pool.map(refused, range(20))
        good = pool.map(lambda _: masks.labels_to_kaggle(labels, threads=2), range(20))
        assert all(encoded == expected for encoded in good)
        assert set(faulty) == {"refused"}


SCENE = """
import os, signal, threading
import numpy as np
from nucleus_unet import masks

rng = np.random.default_rng(0)
image = rng.integers(0, 255, (3000, 3000)).astype(np.uint8)
markers = np.zeros(image.shape, np.uint32)
markers[::50, ::50] = np.arange(1, 3601).reshape(60, 60)
"""

COUNTING = """
def signals_until(done):
    while not done.wait(0.02):
        os.kill(os.getpid(), signal.SIGINT)

handled = []
signal.signal(signal.SIGINT, lambda *_: handled.append(1))
done = threading.Event()
sender = threading.Thread(target=signals_until, args=(done,))
sender.start()
masks.watershed(image, markers)
during = len(handled)
done.set()
sender.join()
# Signals that come while nobody looks are handled once, however many they are.
assert during > 2, during
"""

RAISING = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background has it ignored
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    masks.watershed(image, markers)
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("not interrupted")
small = image[:100, :100], markers[:100, :100]
assert np.unique(masks.watershed(*small)).tolist() == [1, 2, 61, 62]
"""

BESIDE = """
from concurrent.futures import ThreadPoolExecutor

image, markers = image[:2100, :2100].copy(), markers[:2100, :2100].copy()
expected = masks.watershed(image, markers)
signal.signal(signal.SIGINT, signal.default_int_handler)
with ThreadPoolExecutor(1) as other:
    beside = other.submit(masks.watershed, image, markers)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        masks.watershed(image, markers)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("not interrupted")
    np.testing.assert_array_equal(beside.result(), expected)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals come otherwise there")
@pytest.mark.parametrize(
    "script",
    [COUNTING, RAISING, BESIDE],
    ids=["handled while it works", "ended by Ctrl-C", "only the call of the main thread"],
)
def test_signals_reach_python_during_a_long_call(script):
    run_script(SCENE + script)
