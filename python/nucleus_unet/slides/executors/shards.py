"""One slide, many machines: which blocks are whose, and who is at work.

A shard owns a range of blocks and predicts all tiles they need, into a folder of its own. So tiles at the border of two
shards are predicted twice, and no shard ever waits for another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from nucleus_unet.errors import SettingsError
from nucleus_unet.io.locks import locked
from nucleus_unet.slides.tasks import SlideTasks

# In a run's folder; holds a lock for each shard that ever began.
SHARDS = "shards"
# Seconds for which shards may hold each other up while one of them writes the plan.
_PATIENCE = 60


class Shard(NamedTuple):
    """Share ``number`` of ``of``, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        """For files."""
        return f"{self.number}-of-{self.of}"

    @classmethod
    def from_name(cls, name: str) -> Shard:
        """Inverse of `name`."""
        number, of = name.split("-of-")
        return cls(int(number), int(of))


def check_shard(shard: object) -> Shard:
    """Return a shard if it is one.

    Raises
    ------
    SettingsError
        If it is not two whole numbers, the first from 1 to the second.

    Examples
    --------
    >>> str(check_shard((3, 20)))
    '3/20'
    """
    match shard:
        case (int(number), int(of)) if not isinstance(number, bool) and 1 <= number <= of:
            return Shard(number, of)
    raise SettingsError(f"shard: expected two whole numbers like (3, 20), the first from 1 to the second, got {shard}")


def blocks_of(work: SlideTasks, shard: Shard) -> list[int]:
    """Return a shard's blocks: neighbours, and as many as make about as much work as any other shard's."""
    return [block for block, owner in _owners(work, shard.of).items() if owner == shard]


def _owners(work: SlideTasks, of: int) -> dict[int, Shard]:
    """Tell for each block whose it is, if there are so many shards."""
    efforts = [len(work.tiles_for(block)) for block in work.numbers]
    total = sum(efforts)
    middles = [2 * up_to - effort for up_to, effort in zip(accumulate(efforts), efforts, strict=True)]
    return {
        block: Shard(middle * of // (2 * total) + 1, of) for block, middle in zip(work.numbers, middles, strict=True)
    }


def check_finished(work: SlideTasks, folder: Path) -> None:
    """Raise `SettingsError` unless all blocks are there; the message says which shards are missing."""
    missing = {block for block in work.numbers if not work.has_block(block)}
    if not missing:
        return
    absent: list[list[str]] = [
        [str(shard) for shard in sorted({owner for block, owner in _owners(work, of).items() if block in missing})]
        for of in {shard.of for shard in _begun(folder)}
    ]
    fewest = min(absent, key=len, default=["all"])
    raise SettingsError(
        f"{folder}: {len(missing)} of {len(work.numbers)} blocks are missing, those of shards: {', '.join(fewest)}. "
        "Run these with the same options, tile= and block= too, then merge again"
    )


@contextmanager
def all_held(folder: Path) -> Iterator[None]:
    """Hold a run's folder: neither another whole run nor any shard may be at work in it."""
    with ExitStack() as stack:
        stack.enter_context(_held(folder, patience=0))
        for shard in _begun(folder):
            stack.enter_context(_shard_held(folder, shard))
        yield


@contextmanager
def shard_held(folder: Path, shard: Shard) -> Iterator[None]:
    """Hold one shard of a run: no whole run may be at work, and nobody else at this shard."""
    (folder / SHARDS).mkdir(exist_ok=True)
    with ExitStack() as stack:
        with for_a_moment(folder):
            stack.enter_context(_shard_held(folder, shard))
        yield


def for_a_moment(folder: Path) -> AbstractContextManager[None]:
    """Hold a run's folder while shards are at work."""
    return _held(folder, patience=_PATIENCE)


def _held(folder: Path, *, patience: float) -> AbstractContextManager[None]:
    return locked(
        folder, patience=patience, busy=f"another process works in {folder}: wait for it, or choose another out="
    )


def _shard_held(folder: Path, shard: Shard) -> AbstractContextManager[None]:
    busy = f"another process works at shard {shard} in {folder}: wait for it"
    return locked(folder / SHARDS, name=shard.name, patience=0, busy=busy)


def _begun(folder: Path) -> list[Shard]:
    return sorted(Shard.from_name(path.name) for path in (folder / SHARDS).glob("*-of-*[0-9]"))
