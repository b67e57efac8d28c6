"""Divide a slide among machines that share a file system: which blocks belong to which shard, and which locks it holds.

A shard owns a range of blocks. It predicts all tiles that these blocks need, into its own folder. Tiles at the border
of two shards are predicted twice, and no shard waits for another.
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

# Subfolder of a run with one lock file for each shard that was ever started.
SHARDS = "shards"
# Seconds that a shard waits while another one writes the plan.
_LOCK_TIMEOUT = 60


class Shard(NamedTuple):
    """Part ``number`` of ``total`` of a slide's blocks, counted from 1."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    @property
    def name(self) -> str:
        """Name for files and folders."""
        return f"{self.number}-of-{self.total}"

    @classmethod
    def from_name(cls, name: str) -> Shard:
        """Inverse of `name`."""
        number, total = name.split("-of-")
        return cls(int(number), int(total))


def check_shard(shard: object) -> Shard:
    """Check and return a shard.

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
        case (int(number), int(total)) if not isinstance(number, bool) and 1 <= number <= total:
            return Shard(number, total)
    raise SettingsError(f"shard: expected two whole numbers like (3, 20), the first from 1 to the second, got {shard}")


def shard_blocks(tasks: SlideTasks, shard: Shard) -> list[int]:
    """Return the numbers of a shard's blocks. They are neighbours, and shards have nearly equal numbers of tiles."""
    return [block for block, owner in _owners(tasks, shard.total).items() if owner == shard]


def _owners(tasks: SlideTasks, total: int) -> dict[int, Shard]:
    """Return the shard of each block if there are ``total`` shards."""
    numbers = tasks.block_numbers
    costs = [len(tasks.tiles_for(block)) for block in numbers]
    total_cost = sum(costs)
    middles = [2 * end - cost for end, cost in zip(accumulate(costs), costs, strict=True)]
    return {
        block: Shard(middle * total // (2 * total_cost) + 1, total)
        for block, middle in zip(numbers, middles, strict=True)
    }


def check_finished(tasks: SlideTasks, folder: Path) -> None:
    """Check that all blocks are finished.

    Raises
    ------
    SettingsError
        If blocks are missing. The message names their shards.
    """
    missing = {block for block in tasks.block_numbers if not tasks.has_block(block)}
    if not missing:
        return
    candidates: list[list[str]] = [
        [str(shard) for shard in sorted({owner for block, owner in _owners(tasks, total).items() if block in missing})]
        for total in {shard.total for shard in _started(folder)}
    ]
    fewest = min(candidates, key=len, default=["all"])
    raise SettingsError(
        f"{folder}: blocks are missing ({len(missing)} of {len(tasks.block_numbers)}), those of shards: "
        f"{', '.join(fewest)}. Run these with the same options, including tile= and block=, then merge again"
    )


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Lock a run's folder against other whole runs and against all shards."""
    with ExitStack() as stack:
        stack.enter_context(_lock(folder, patience=0))
        for shard in _started(folder):
            stack.enter_context(_shard_lock(folder, shard))
        yield


@contextmanager
def lock_shard(folder: Path, shard: Shard) -> Iterator[None]:
    """Lock one shard of a run against whole runs and against other processes at the same shard."""
    (folder / SHARDS).mkdir(exist_ok=True)
    with ExitStack() as stack:
        with lock_briefly(folder):
            stack.enter_context(_shard_lock(folder, shard))
        yield


def lock_briefly(folder: Path) -> AbstractContextManager[None]:
    """Lock a run's folder for a short step, and wait if another shard holds the lock."""
    return _lock(folder, patience=_LOCK_TIMEOUT)


def _lock(folder: Path, *, patience: float) -> AbstractContextManager[None]:
    busy = f"another process works in {folder}: wait for it, or choose another out="
    return locked(folder, patience=patience, busy=busy)


def _shard_lock(folder: Path, shard: Shard) -> AbstractContextManager[None]:
    busy = f"another process works at shard {shard} in {folder}: wait for it"
    return locked(folder / SHARDS, name=shard.name, patience=0, busy=busy)


def _started(folder: Path) -> list[Shard]:
    return sorted(Shard.from_name(path.name) for path in (folder / SHARDS).glob("*-of-*[0-9]"))
