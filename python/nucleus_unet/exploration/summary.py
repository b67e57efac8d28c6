"""Explore a labelled set: measure all images, sort them into categories, and list possible problems."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.dataset import Example, ReadReport
from nucleus_unet.errors import DataError
from nucleus_unet.exploration.clustering import cluster_images
from nucleus_unet.exploration.data_checks import Problem, find_problems
from nucleus_unet.exploration.image_statistics import ImageStatistics, measure_image
from nucleus_unet.exploration.nucleus_statistics import NucleusStatistics


@dataclass(frozen=True, eq=False)
class Exploration:
    """Statistics and possible problems of a labelled set.

    Attributes
    ----------
    examples
        The images, in the order given.
    images
        Statistics of each image, in the same order.
    categories
        Category of each image, in the same order.
    categories_are_clusters
        Whether the categories were found by clustering. If not, they are those of the examples.
    problems
        Possible problems, sorted by type and image.
    """

    examples: Sequence[Example]
    images: list[ImageStatistics]
    categories: list[str]
    categories_are_clusters: bool
    problems: list[Problem]

    @property
    def nuclei(self) -> dict[str, NDArray[np.float64]]:
        """Statistics of all nuclei: one column for each attribute of `NucleusStatistics`, and ``image``, the index."""
        columns: dict[str, NDArray[np.float64]] = {
            field.name: np.concatenate([getattr(image.nuclei, field.name) for image in self.images])
            for field in fields(NucleusStatistics)
        }
        counts = [len(image.nuclei) for image in self.images]
        return {"image": np.repeat(np.arange(len(counts)), counts), **columns}

    def in_category(self, category: str) -> list[int]:
        """Return the indices of the images of a category, ascending."""
        return [position for position, each in enumerate(self.categories) if each == category]


def explore(
    examples: Sequence[Example],
    *,
    report: ReadReport | None = None,
    threads: int | None = None,
    track: Callable[[Sequence[Example]], Iterable[Example]] = iter,
) -> Exploration:
    """Measure every image and nucleus of a labelled set, and list possible problems.

    If the examples have several categories (from a groups table or several sets), these are used. Otherwise the images
    are clustered by their appearance. The result is deterministic.

    Parameters
    ----------
    examples
        Labelled images from `nucleus_unet.data.dataset.read_examples`.
    report
        Report of reading them. Without it, skipped images and lost masks are not listed.
    threads
        Number of images measured at a time. None for one per core.
    track
        Called with the examples. Returns an iterable of them that shows progress.

    Returns
    -------
    Exploration
        Statistics and possible problems.

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
    >>> [(problem.type.title, problem.detail) for problem in exploration.problems]
    [('specks', '1 speck: 1 pixel')]
    """
    if not examples:
        raise DataError("expected at least one image to explore, got none")
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        images = [image for _, image in zip(track(examples), pool.map(measure_image, examples), strict=True)]
    are_clusters = len({example.category for example in examples}) == 1
    categories = (
        cluster_images([each.features for each in images]) if are_clusters else [each.category for each in images]
    )
    return Exploration(examples, images, categories, are_clusters, find_problems(images, report))
