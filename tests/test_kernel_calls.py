"""Kernels called from several threads at once, each of which must get what a call alone gets."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
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
