"""Connected components, exact distances, and the watershed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from nucleus_unet import masks
from numpy.typing import NDArray

from _kernels.contest import Contest, Task, installed
from _kernels.scenes import Labels, Scenes

COMPONENTS = {1: 1.0, 2: 1.6}
DISTANCE = 1.0
WATERSHED = 4.0


def contests(scenes: Scenes, threads: int) -> Iterator[Contest]:
    """Rows of this family."""
    cases = scenes.cases(threads)
    for case, labels in cases.items():
        for connectivity in (1, 2):
            yield _components_of_binary(case, labels, connectivity, threads)
    yield _components_of_labels("mosaic", scenes.mosaic, threads)
    for case, labels in cases.items():
        yield _binary_distance(case, labels, threads)
    for case, labels in cases.items():
        if case not in ("one label", "empty"):
            yield _distance_by_label(case, labels, threads)
    if threads == 1:
        yield from _watersheds("mosaic", scenes.mosaic)


def _components_of_binary(case: str, labels: Labels, connectivity: int, threads: int) -> Contest:
    image = (labels > 0).astype(np.uint8)
    neighbours = {1: 4, 2: 8}[connectivity]
    peers: dict[str, Task] = {}
    if cv2 := installed("cv2"):
        peers["cv2"] = lambda: cv2.connectedComponents(image, connectivity=neighbours, ltype=cv2.CV_32S)[1]
    if cc3d := installed("cc3d"):
        peers["cc3d"] = lambda: cc3d.connected_components(image, connectivity=neighbours, binary_image=True)
    if installed("scipy"):
        from scipy import ndimage

        structure = ndimage.generate_binary_structure(2, connectivity)
        peers["scipy"] = lambda: ndimage.label(image, structure)[0]
    if installed("skimage"):
        from skimage import measure

        peers["scikit-image"] = lambda: measure.label(image, connectivity=connectivity)
    return Contest(
        f"components, {neighbours} neighbours",
        case,
        threads,
        lambda: masks.label(image, connectivity=connectivity, threads=threads),
        peers,
        _same_regions,
        COMPONENTS[threads],
    )


def _components_of_labels(case: str, labels: Labels, threads: int) -> Contest:
    peers: dict[str, Task] = {}
    if cc3d := installed("cc3d"):
        peers["cc3d"] = lambda: cc3d.connected_components(labels, connectivity=4)
    if installed("skimage"):
        from skimage import measure

        peers["scikit-image"] = lambda: measure.label(labels, connectivity=1)
    return Contest(
        "components of labels",
        case,
        threads,
        lambda: masks.label(labels, threads=threads),
        peers,
        _same_regions,
        COMPONENTS[threads],
    )


def _binary_distance(case: str, labels: Labels, threads: int) -> Contest:
    image = (labels > 0).astype(np.uint8)
    if image.all():
        # Without any background there is no distance, and peers disagree on what to say.
        image[0, 0] = 0
    peers: dict[str, Task] = {}
    if edt := installed("edt"):
        peers["edt"] = lambda: edt.edt(image, parallel=threads)
    if cv2 := installed("cv2"):
        peers["cv2"] = lambda: cv2.distanceTransform(image, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if installed("scipy"):
        from scipy import ndimage

        peers["scipy"] = lambda: ndimage.distance_transform_edt(image)
    work: Task = lambda: masks.distance(image, threads=threads)  # noqa: E731
    return Contest("distance, binary", case, threads, work, peers, _close, DISTANCE)


def _distance_by_label(case: str, labels: Labels, threads: int) -> Contest:
    peers: dict[str, Task] = {}
    if edt := installed("edt"):
        peers["edt"] = lambda: edt.edt(labels, parallel=threads)
    if installed("scipy") and labels.max() < 10_000 and labels.size < 1 << 24:
        peers["scipy, label by label"] = lambda: _distance_label_by_label(labels)
    work: Task = lambda: masks.distance(labels, threads=threads)  # noqa: E731
    return Contest("distance, by label", case, threads, work, peers, _close, DISTANCE)


def _distance_label_by_label(labels: Labels) -> NDArray[np.float32]:
    """Each label's box, and one pixel more, by itself."""
    from scipy import ndimage

    distances = np.zeros(labels.shape, np.float32)
    for label, box in enumerate(ndimage.find_objects(labels.view(np.int32)), 1):
        if box is None:
            continue
        wider = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        inside = labels[wider] == label
        distances[wider][inside] = ndimage.distance_transform_edt(inside)[inside]
    return distances


def _watersheds(case: str, labels: Labels) -> Iterator[Contest]:
    mask = labels > 0
    distances = masks.distance(mask)
    # Where a nucleus is thick, it has a marker; the others are found by nobody.
    markers = masks.label(distances >= 4)
    levels = {"float32": -distances, "uint8": (255 - np.minimum(distances * 8, 255)).astype(np.uint8)}
    for dtype, image in levels.items():
        peers: dict[str, Task] = {}
        if installed("skimage"):
            from skimage.segmentation import watershed

            peers["scikit-image"] = lambda image=image: watershed(image, markers.view(np.int32), mask=mask)
        if dtype == "uint8" and (cv2 := installed("cv2")):
            colour = np.repeat(image[..., None], 3, axis=2)
            background = np.where(mask, markers, markers.max() + 1).astype(np.int32)
            peers["cv2"] = lambda colour=colour, background=background: cv2.watershed(colour, background.copy())
        yield Contest(
            f"watershed, {dtype}",
            case,
            1,
            lambda image=image: masks.watershed(image, markers, mask=mask),
            peers,
            lambda ours, name, theirs: _same_flood(ours, name, theirs, markers),
            WATERSHED,
            ("scikit-image",),
        )


def _same_regions(ours: Labels, _: str, theirs: NDArray[Any]) -> None:
    """Equal but for the numbers, which every library gives in its own order."""
    mine, other = ours.ravel().astype(np.int64), theirs.ravel().astype(np.int64)
    count = int(mine.max(initial=0))
    assert count == int(other.max(initial=0)), f"{count} components, not {other.max(initial=0)}"
    partner = np.zeros(count + 1, np.int64)
    partner[mine] = other
    np.testing.assert_array_equal(partner[mine], other)
    assert np.unique(partner).size == count + 1, "components were merged"


def _close(ours: NDArray[np.float32], _: str, theirs: NDArray[Any]) -> None:
    # Single precision: one rounding here, several there.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def _same_flood(ours: Labels, name: str, theirs: NDArray[Any], markers: Labels) -> None:
    if name == "cv2":
        # Another algorithm, which draws lines between basins and quantises otherwise: only markers can be compared.
        inside = (markers > 0) & (theirs > 0)
        np.testing.assert_array_equal(ours[inside], theirs[inside])
    else:
        np.testing.assert_array_equal(ours, theirs)
