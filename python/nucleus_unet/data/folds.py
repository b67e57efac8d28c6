"""Cross-validation folds that do not split fields of view and that balance the image categories."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.wording import counted

_FOLDS = 10


def assign_folds(examples: Sequence[Example], count: int = 5, *, seed: int = 0) -> list[int]:
    """Assign each example to a fold. All images of a field (`Example.field_id`) are in one fold.

    The categories are distributed as evenly as whole fields allow. The algorithm is greedy, as the
    longest-processing-time rule of scheduling. It assigns the fields one by one, those of several categories first,
    then large before small. Each field goes to the fold with the fewest images of its categories, in a tie to the
    smaller fold. If each field of a category has images of this category only, the numbers of its images in two folds
    differ at most by the size of its largest field. No fold is empty. The folds depend on the seed and on the names of
    categories and fields, but not on the order of the examples. Fields with an identical image count as one field, as
    two sets may contain the same image.

    Parameters
    ----------
    examples
        Labelled images of one or several sets.
    count
        Number of folds.
    seed
        Seed that breaks ties between fields of equal size.

    Returns
    -------
    list of int
        Fold of each example, from 0 to `count` - 1.

    Raises
    ------
    SettingsError
        `count` is less than 2.
    DataError
        There are fewer fields than folds.

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
        raise SettingsError(f"folds: expected at least 2, got {count}")
    fields: dict[str, Counter[str]] = defaultdict(Counter)
    field_ids = _field_ids(examples)
    for example, field_id in zip(examples, field_ids, strict=True):
        fields[field_id][example.category] += 1
    if len(fields) < count:
        raise DataError(
            f"{counted(len(fields), 'field')} cannot fill {count} folds: ask for fewer folds or give more images"
        )
    folds = _place(fields, count, seed)
    return [folds[field_id] for field_id in field_ids]


def _field_ids(examples: Sequence[Example]) -> list[str]:
    """Return the field of each example. Fields with an identical image are joined under the first of their names."""
    joined: dict[str, str] = {}

    def first(field_id: str) -> str:
        while field_id in joined:
            # Path halving: each visited name skips to its grandparent, which keeps the chains short.
            joined[field_id] = joined.get(joined[field_id], joined[field_id])
            field_id = joined[field_id]
        return field_id

    by_digest: dict[str, str] = {}
    for example in examples:
        one, other = sorted((first(example.field_id), first(by_digest.setdefault(example.digest, example.field_id))))
        if one != other:
            joined[other] = one
    return [first(example.field_id) for example in examples]


def _place(fields: dict[str, Counter[str]], count: int, seed: int) -> dict[str, int]:
    totals: Counter[str] = sum(fields.values(), Counter())
    in_fold: list[Counter[str]] = [Counter() for _ in range(count)]

    def priority(field_id: str) -> tuple[bool, int, bytes]:
        categories = fields[field_id]
        shuffle = hashlib.sha256(f"{seed}/{field_id}".encode()).digest()
        return len(categories) == 1, -categories.total(), shuffle

    folds = {}
    for field_id in sorted(fields, key=priority):
        categories = sorted(fields[field_id].items())

        def crowding(fold: int, categories: Sequence[tuple[str, int]] = categories) -> tuple[float, int, int]:
            # The increase of the sum of squared category shares of the folds, up to a constant.
            shares = sum(images * in_fold[fold][category] / totals[category] ** 2 for category, images in categories)
            return shares, in_fold[fold].total(), fold

        folds[field_id] = min(range(count), key=crowding)
        in_fold[folds[field_id]].update(fields[field_id])
    return folds


def hold_out_images(
    examples: Sequence[Example], *, folds: int | None, category: str | None, seed: int
) -> tuple[list[Example], list[Example]]:
    """Split examples into training and held-out images. The first fold or a whole category is held out.

    Parameters
    ----------
    examples
        The labelled images.
    folds
        Number of folds, of which the first is held out. None for 10, or for the number of fields if there are fewer.
    category
        Category to hold out instead of a fold. Images of other categories that share a field with a held-out image are
        in neither part.
    seed
        Seed of `assign_folds`.

    Returns
    -------
    training, held_out : list of Example
        The two parts.

    Raises
    ------
    SettingsError
        No image or every image is of the category to hold out.
    DataError
        There are fewer fields than folds, or there is only one field.
    """
    field_ids = _field_ids(examples)
    if category is None:
        fields = len(set(field_ids))
        if fields == 1:
            raise DataError("expected images of at least 2 fields or patients, as one is held out, got 1")
        count = max(2, min(_FOLDS, fields)) if folds is None else folds
        is_held_out = [fold == 0 for fold in assign_folds(examples, count, seed=seed)]
    else:
        is_held_out = [example.category == category for example in examples]
        if not 0 < sum(is_held_out) < len(examples):
            categories = ", ".join(sorted({example.category for example in examples}))
            raise SettingsError(f"hold_out: expected one of several categories ({categories}), got {category!r}")
    held_out = [example for example, held in zip(examples, is_held_out, strict=True) if held]
    excluded = {field_id for field_id, held in zip(field_ids, is_held_out, strict=True) if held}
    training = [example for example, field_id in zip(examples, field_ids, strict=True) if field_id not in excluded]
    if not training:
        raise SettingsError(f"hold_out: all fields of the other categories have images of {category!r} too")
    return training, held_out
