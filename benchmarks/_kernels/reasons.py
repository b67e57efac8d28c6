"""Why a row misses its target, by what was measured or is plain from how the kernel works."""

from __future__ import annotations

_ONE_PASS = (
    "nucleus by nucleus, pycocotools takes some thousand times as long; the best peer is numpy in one pass, made for "
    "this table. numpy's comparison of each row with the next alone takes a third of our time for all"
)
_OBJECTS = "much of the time, theirs and ours, goes into the Python strings and numbers that are returned"
_CHARACTERS = (
    "where a count ends only its characters tell, one after the other, so that nobody is far from the time to read them"
)
_MAPPINGS = f"half of the time goes into taking the mappings apart; and {_CHARACTERS}"
_DENSE = "ours works on runs, of which there are nearly as many here as pixels; the peers decide pixel by pixel"
_MEMORY = "ours and the peer read each image once, and memory sets the pace"

_REASONS = {
    "labels to Kaggle strings": {"": _ONE_PASS, "a million specks": _OBJECTS},
    "labels to COCO counts": {
        "": _ONE_PASS,
        "checkerboard": _OBJECTS,
        "spiral": _OBJECTS,
        "a million specks": _OBJECTS,
    },
    "labels to COCO strings": {"": _ONE_PASS, "a million specks": _OBJECTS},
    "Kaggle strings to labels": {
        "": "two fifths of the time go into reading digits, a third into the image's memory, which numpy needs too"
    },
    "areas of COCO strings": {"": _MAPPINGS},
    "boxes of COCO strings": {"": _MAPPINGS},
    "IoU of COCO strings": {"": _MAPPINGS},
    "one mask to a COCO string": {"": "the peer, too, reads the mask once"},
    "one COCO string to a mask": {"": _CHARACTERS},
    "components, 4 neighbours": {"": _DENSE, "mosaic": _MEMORY},
    "components, 8 neighbours": {"": _DENSE, "mosaic": _MEMORY},
    "distance, binary": {
        "": "edt and cv2 are as quick, and which is ahead differs from one day to the next on the same machine",
        "checkerboard": "where every second pixel is background the answer is 1, and all that counts is memory",
    },
    "watershed, float32": {
        "": "to be label for label scikit-image's, pixels must be taken in its order, one after another, from a queue"
    },
    "watershed, uint8": {
        "": "as for float32; cv2 draws lines between regions, another answer, which needs no such order"
    },
    "measure": {"": _MEMORY, "checkerboard": _DENSE, "spiral": _DENSE},
    "overlap table": {"": _MEMORY, "checkerboard": _DENSE, "spiral": _DENSE, "a million specks": _DENSE},
    "contours": {"": "ours gives every nucleus polygons with holes, in pieces; cv2 borders of the foreground alone"},
    "relabel": {"": _DENSE},
    "filter by area": {"": _DENSE},
}


def why(kernel: str, case: str) -> str | None:
    """Return why ours may miss its target with a kernel on an image; None if nobody has found out."""
    reasons = _REASONS.get(kernel, {})
    return reasons.get(case, reasons.get(""))
