"""A labelled set explored: all its images measured, sorted into kinds, and searched for what looks wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.dataset import Example, ReadReport
from nucleus_unet.errors import DataError
from nucleus_unet.exploration.clustering import find_kinds
from nucleus_unet.exploration.data_checks import Problem, find_problems
from nucleus_unet.exploration.image_statistics import ImageFacts, examine
from nucleus_unet.exploration.nucleus_statistics import Nuclei


@dataclass(frozen=True, eq=False)
class Exploration:
    """What a labelled set holds.

    Attributes
    ----------
    examples
        The images, in the order given.
    images
        What is known of each, in the same order.
    kinds
        Of each image, likewise.
    kinds_found
        Whether kinds were found by clustering; else they are the examples' own.
    problems
        What looks wrong, sorted by fault, then image.
    """

    examples: Sequence[Example]
    images: list[ImageFacts]
    kinds: list[str]
    kinds_found: bool
    problems: list[Problem]

    @property
    def nuclei(self) -> dict[str, NDArray[np.float64]]:
        """Every nucleus of the set, a row each, as columns by the names of `Nuclei`, and ``image``: its position."""
        columns: dict[str, NDArray[np.float64]] = {
            field.name: np.concatenate([getattr(image.nuclei, field.name) for image in self.images])
            for field in fields(Nuclei)
        }
        counts = [len(image.nuclei) for image in self.images]
        return {"image": np.repeat(np.arange(len(counts)), counts), **columns}

    def of_kind(self, kind: str) -> list[int]:
        """Positions of the images of a kind, ascending."""
        return [position for position, each in enumerate(self.kinds) if each == kind]


def explore(
    examples: Sequence[Example],
    *,
    report: ReadReport | None = None,
    threads: int | None = None,
    track: Callable[[Sequence[Example]], Iterable[Example]] = iter,
) -> Exploration:
    """Measure every image and nucleus of a labelled set, and look for what is wrong.

    Kinds of image are the examples' own where they have several (a groups table, or several sets); else images are
    clustered by simple features of their looks. The result depends on the examples alone.

    Parameters
    ----------
    examples
        Images with their nuclei, from `nucleus_unet.data.dataset.read_examples`.
    report
        What reading them met: masks that are empty, overlap or are hidden can be told only then.
    threads
        Images measured at a time; None for all cores.
    track
        Wraps the examples, to show progress.

    Raises
    ------
    DataError
        There are no examples.

    Examples
    --------
    >>> from nucleus_unet.exploration import explore
    >>> labels = np.zeros((40, 40), np.uint32)
    >>> labels[5:15, 5:15], labels[20:30, 20:30], labels[35, 35] = 1, 2, 3
    >>> exploration = explore([Example("a", "squares", (labels * 60).astype(np.uint8), labels, "a")])
    >>> exploration.nuclei["area"].tolist()
    [100, 100, 1]
    >>> [(problem.fault.title, problem.detail) for problem in exploration.problems]
    [('specks', '1 speck: 1 pixel')]
    """
    if not examples:
        raise DataError("expected at least one image to explore, got none")
    # Images are measured side by side, so a kernel needs no threads of its own.
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        futures = [pool.submit(examine, example, threads=1) for example in examples]
        images = [future.result() for future, _ in zip(futures, track(examples), strict=True)]
    named = {example.kind for example in examples}
    kinds = find_kinds([image.look for image in images]) if len(named) == 1 else [image.kind for image in images]
    return Exploration(examples, images, kinds, len(named) == 1, find_problems(images, report))
