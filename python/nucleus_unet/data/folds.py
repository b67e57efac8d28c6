"""Cross-validation folds that keep every field of view whole and every kind of image spread out."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError, SettingsError

_FOLDS = 10


def assign_folds(examples: Sequence[Example], count: int = 5, *, seed: int = 0) -> list[int]:
    """Assign each example to a fold: mosaics whole, kinds as even as whole mosaics allow.

    Mosaics are placed one by one, those of several kinds first, then large before small, each where its kinds
    are fewest so far (greedy, as in the longest-processing-time rule of scheduling; ties to the smaller
    fold). So within a kind whose mosaics hold no other, folds differ by its largest mosaic at most, and no
    fold is empty. The folds depend on the seed and on the names of kinds and mosaics, not on the order of
    the examples. Mosaics that hold the same image are one, as two sets may have it.

    Parameters
    ----------
    examples
        The training set; of several sources too.
    count
        Number of folds.
    seed
        Which of the equally good assignments.

    Returns
    -------
    list of int
        Fold of each example, from 0 to `count` - 1.

    Raises
    ------
    SettingsError
        `count` is less than 2.
    DataError
        There are fewer mosaics than folds.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = [np.full((2, 2), i, np.uint32) for i in range(6)]
    >>> examples = [Example(f"{i}", "a", pixels[i], pixels[i], f"{i // 2}") for i in range(6)]
    >>> folds = assign_folds(examples, 3)
    >>> folds[0] == folds[1], sorted(folds)
    (True, [0, 0, 1, 1, 2, 2])
    """
    if count < 2:
        raise SettingsError(f"count: expected at least 2 folds, got {count}")
    mosaics: dict[str, Counter[str]] = defaultdict(Counter)
    homes = _mosaics(examples)
    for example, mosaic in zip(examples, homes, strict=True):
        mosaics[mosaic][example.kind] += 1
    if len(mosaics) < count:
        raise DataError(f"{len(mosaics)} mosaics cannot fill {count} folds: ask for fewer folds or give more images")
    folds = _place(mosaics, count, seed)
    return [folds[mosaic] for mosaic in homes]


def _mosaics(examples: Sequence[Example]) -> list[str]:
    """Name the mosaic of each example; of those that share an image, the first by name stands for all."""
    joined: dict[str, str] = {}

    def first(mosaic: str) -> str:
        while mosaic in joined:
            # Every second one is passed over from now on, so that long chains are not gone through again and again.
            joined[mosaic] = joined.get(joined[mosaic], joined[mosaic])
            mosaic = joined[mosaic]
        return mosaic

    homes: dict[str, str] = {}
    for example in examples:
        one, other = sorted((first(example.mosaic), first(homes.setdefault(example.digest, example.mosaic))))
        if one != other:
            joined[other] = one
    return [first(example.mosaic) for example in examples]


def _place(mosaics: dict[str, Counter[str]], count: int, seed: int) -> dict[str, int]:
    kind_totals: Counter[str] = sum(mosaics.values(), Counter())
    fold_kinds: list[Counter[str]] = [Counter() for _ in range(count)]

    def urgency(mosaic: str) -> tuple[bool, int, bytes]:
        kinds = mosaics[mosaic]
        shuffle = hashlib.sha256(f"{seed}/{mosaic}".encode()).digest()
        return len(kinds) == 1, -kinds.total(), shuffle

    folds = {}
    for mosaic in sorted(mosaics, key=urgency):
        kinds = sorted(mosaics[mosaic].items())

        def crowding(fold: int, kinds: Sequence[tuple[str, int]] = kinds) -> tuple[float, int, int]:
            # How much placing the mosaic here adds to the squared shares of its kinds, up to a constant.
            shares = sum(images * fold_kinds[fold][kind] / kind_totals[kind] ** 2 for kind, images in kinds)
            return shares, fold_kinds[fold].total(), fold

        folds[mosaic] = min(range(count), key=crowding)
        fold_kinds[folds[mosaic]].update(mosaics[mosaic])
    return folds


def hold_out_images(
    examples: Sequence[Example], *, folds: int | None, kind: str | None, seed: int
) -> tuple[list[Example], list[Example]]:
    """Return what to train on and what to validate on: the first fold, or a whole kind.

    Parameters
    ----------
    examples
        The labelled images.
    folds
        Of which the first is held out; None for ten, or one a mosaic where there are fewer, so that even of five images
        one is held out.
    kind
        Held out whole instead, if not None. What other kinds have of its mosaics is not trained on either.
    seed
        See `assign_folds`.

    Raises
    ------
    SettingsError
        If no image is of that kind, or every image is, under whatever name.
    DataError
        If there are fewer mosaics than folds, or a single one.
    """
    homes = _mosaics(examples)
    if kind is None:
        mosaics = len(set(homes))
        if mosaics == 1:
            raise DataError("expected images of two fields or patients at least, of which one is held out, got one")
        count = max(2, min(_FOLDS, mosaics)) if folds is None else folds
        outside = [fold == 0 for fold in assign_folds(examples, count, seed=seed)]
    else:
        outside = [example.kind == kind for example in examples]
        if not 0 < sum(outside) < len(examples):
            kinds = ", ".join(sorted({example.kind for example in examples}))
            raise SettingsError(f"kind to hold out: expected one kind of several, got {kind!r}; the kinds are {kinds}")
    held_out = [example for example, held in zip(examples, outside, strict=True) if held]
    known = {mosaic for mosaic, held in zip(homes, outside, strict=True) if held}
    training = [example for example, mosaic in zip(examples, homes, strict=True) if mosaic not in known]
    if not training:
        raise SettingsError(f"kind to hold out: all mosaics of the other kinds have images of {kind!r} too")
    return training, held_out
