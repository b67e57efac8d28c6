"""The record of a run over many images: which names its results have, with which settings, and what is done.

It is a file of JSON lines in a folder of its own in the output folder. A line is added when an image is done, so a run
that is killed loses the images in work and nothing else. The folder also tells that its neighbours are results.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from nucleus_unet.errors import DataError
from nucleus_unet.exports.names import FORMATS
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.io.locks import locked

RUN_FOLDER = "nucleus-unet-run"
SUMMARY = "summary.csv"
_RECORD = "record.jsonl"
_VERSION = 1


class Planned(NamedTuple):
    """An image and the name of its results.

    Attributes
    ----------
    source
        Absolute path of the image.
    facts
        From `nucleus_unet.io.file_facts.file_facts`: what an unchanged file has.
    """

    source: str
    facts: dict[str, Any] | None


@dataclass(frozen=True)
class Done:
    """What was found in an image, as the summary shows it.

    Attributes
    ----------
    facts
        Of the image when it was segmented.
    formats
        Formats in which the nuclei were written.
    nuclei
        Number of nuclei.
    median_area
        In pixels; None without nuclei.
    scale
        Magnification from the image to what the network saw.
    seconds
        Time to read, segment and write.
    scene
        Name of the scene, if one was asked for.
    expected_msa
        See `nucleus_unet.plan.Plan`.
    """

    facts: dict[str, Any] | None
    formats: list[str]
    nuclei: int
    median_area: float | None
    scale: float
    seconds: float
    scene: str = ""
    expected_msa: float | None = None


@dataclass
class RunRecord:
    """The content of a record.

    Attributes
    ----------
    settings
        All that the labels of every image depend on; None before the first run.
    planned
        The image that each name is for.
    formats
        All formats that were asked for.
    done
        The finished images, by name.
    """

    settings: dict[str, Any] | None = None
    planned: dict[str, Planned] = field(default_factory=dict)
    formats: dict[str, None] = field(default_factory=dict)
    done: dict[str, Done] = field(default_factory=dict)

    @classmethod
    def read(cls, out: Path) -> RunRecord:
        """Read the record of an output folder; an empty one if there is none.

        Raises
        ------
        DataError
            If it is damaged.
        """
        path = out / RUN_FOLDER / _RECORD
        record = cls()
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return record
        # A process that was killed may have left a part of a line.
        for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
            try:
                record._add(json.loads(line))
            except (ValueError, TypeError, LookupError, RecursionError) as error:
                raise DataError(
                    f"{path} is damaged in line {number}: begin anew with --overwrite (overwrite=True), or choose "
                    "another output folder"
                ) from error
        return record

    def _add(self, line: Any) -> None:
        if "version" in line:
            if line["version"] != _VERSION:
                raise ValueError("it is not a record of this version")
            self.settings = dict(line["settings"])
        elif "planned" in line:
            self.formats |= dict.fromkeys(map(str, line["formats"]))
            self.planned |= {str(name): Planned(str(source), facts) for name, source, facts in line["planned"]}
        else:
            self.done[str(line["name"])] = Done(**line["done"])

    def has_results(self, out: Path) -> bool:
        """Return whether any image is done, or any result exists that a killed run left."""
        return bool(self.done) or any((out / each).exists() for each in self.result_files())

    def result_files(self) -> Iterator[Path]:
        """Yield the results of all images, relative to the output folder, whether they are there or not."""
        suffixes = [FORMATS[each].suffixes[0] for each in self.formats if each in FORMATS]
        for name in self.planned:
            for suffix in suffixes:
                yield Path(name + suffix)


class RecordWriter:
    """Adds lines to the record of an output folder. Several threads may use it; the folder must be locked.

    Parameters
    ----------
    out
        The output folder.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / RUN_FOLDER / _RECORD
        self._lock = Lock()

    def begin(self, settings: Mapping[str, Any], *, earlier: RunRecord | None = None) -> None:
        """Write a new record in place of what there is, with the names of an earlier one."""
        lines = _line({"version": _VERSION, "settings": settings})
        if earlier is not None:
            lines += _line(_planned(earlier.planned.items(), list(earlier.formats)))
        write_atomically(self._path, lines.decode())

    def plan(self, planned: Iterable[tuple[str, Planned]], formats: Sequence[str]) -> None:
        """Add names before their results are written."""
        self._append(_planned(planned, formats))

    def done(self, name: str, done: Done) -> None:
        """Add a finished image."""
        self._append({"name": name, "done": asdict(done)})

    def _append(self, values: Mapping[str, Any]) -> None:
        with self._lock, self._path.open("r+b") as file:
            _cut_half_a_line(file)
            file.write(_line(values))
            file.flush()
            os.fsync(file.fileno())


def lock_output(out: Path, *, patience: float = 0) -> AbstractContextManager[None]:
    """Lock an output folder, and mark it as one. ``patience`` is in seconds."""
    (out / RUN_FOLDER).mkdir(parents=True, exist_ok=True)
    busy = f"another process works in {out}: wait for it, or choose another output folder"
    return locked(out / RUN_FOLDER, patience=patience, busy=busy)


def _planned(planned: Iterable[tuple[str, Planned]], formats: Sequence[str]) -> dict[str, Any]:
    return {"planned": [(name, *each) for name, each in planned], "formats": list(formats)}


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"  # ASCII: names that are in no encoding are escaped, too


def _cut_half_a_line(file: Any) -> None:
    """Go to the end of a file of lines; remove what a process left that was killed within a line."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    file.seek(size - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
