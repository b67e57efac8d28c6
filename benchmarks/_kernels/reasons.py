"""Why a row misses its target, by what was measured or is plain from how the kernel works."""

from __future__ import annotations

_ONE_PASS = (
    "nucleus by nucleus, pycocotools takes some thousand times as long; the best peer is numpy in one pass, made for "
    "this table. Of our time on the mosaic half goes into reading the image and finding where it changes, and a fifth "
    "into Python's strings"
)
_RUNS = (
    "there are nearly as many runs as pixels; ours keeps each by column, then by label, at some 50 nanoseconds in all"
)
_OBJECTS = "of our time .4 to .7 goes into making a million Python strings or lists, as numpy's does"
_CHARACTERS = (
    "where a count ends only its characters tell, one after the other, so that nobody is far from the time to read them"
)
_MAPPINGS = f"half of the time goes into taking the mappings apart; and {_CHARACTERS}"
_DENSE = "ours works on runs, of which there are nearly as many here as pixels; the peers decide pixel by pixel"
_READING = "reading the image and writing zeros alone, as for the empty one, takes a third to half of our time"
_NOTHING = "there is nothing to do but to read the image"

_ENCODING = {
    "": _ONE_PASS,
    "checkerboard": _RUNS,
    "spiral": _RUNS,
    "one label": _NOTHING,
    "empty": _NOTHING,
    "a million specks": _OBJECTS,
}

_REASONS = {
    "labels to Kaggle strings": _ENCODING,
    "labels to COCO counts": _ENCODING,
    "labels to COCO strings": _ENCODING,
    "Kaggle strings to labels": {
        "": "two fifths of the time go into reading digits, a third into the image's memory, which numpy needs too"
    },
    "areas of COCO strings": {"": _MAPPINGS},
    "boxes of COCO strings": {"": _MAPPINGS},
    "IoU of COCO strings": {"": _MAPPINGS},
    "one mask to a COCO string": {"": "the peer, too, reads the mask once"},
    "one COCO string to a mask": {"": _CHARACTERS},
    "components, 4 neighbours": {"": _DENSE, "mosaic": _READING},
    "components, 8 neighbours": {"": _DENSE, "mosaic": _READING},
    "watershed, float32": {
        "": "to be label for label scikit-image's, pixels must be taken in its order, one after another, from a queue"
    },
    "watershed, uint8": {
        "": "as for float32; cv2 draws lines between regions, another answer, which needs no such order"
    },
    "measure": {"checkerboard": _DENSE, "spiral": _DENSE, "empty": _NOTHING},
    "overlap table": {
        "": _NOTHING,
        "mosaic": "reading two images alone, as for the empty ones, takes half of our time",
        "checkerboard": _DENSE,
        "spiral": _DENSE,
        "a million specks": _DENSE,
    },
    "contours": {"": "ours gives every nucleus polygons with holes, in pieces; cv2 borders of the foreground alone"},
    "relabel": {"": _DENSE},
    "filter by area": {"": _DENSE},
}


def why(kernel: str, case: str) -> str | None:
    """Return why ours may miss its target with a kernel on an image; None if nobody has found out."""
    reasons = _REASONS.get(kernel, {})
    return reasons.get(case, reasons.get(""))
