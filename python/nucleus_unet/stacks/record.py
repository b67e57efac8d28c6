"""The record of a finished run: what was segmented, how, and which files hold the results."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nucleus_unet.errors import SettingsError
from nucleus_unet.io.atomic import read_json, write_atomically
from nucleus_unet.io.file_facts import file_facts
from nucleus_unet.io.selection import Selection
from nucleus_unet.stacks.result import PlaneSummary, StackResult

RECORD = "run.json"


@dataclasses.dataclass(frozen=True)
class StackRecord:
    """What identifies a run. All values are plain JSON types.

    Attributes
    ----------
    image
        Path of the file; None for an array.
    facts
        Sizes and times of the file, equal while it is unchanged. None if changes cannot be detected.
    settings
        What the labels depend on, beside the pixels.
    selection
        Which planes.
    formats
        Which results.
    planes, files
        What was found and written; empty before.
    """

    image: str | None
    facts: dict[str, Any] | None
    settings: dict[str, Any]
    selection: dict[str, Any]
    formats: list[str]
    planes: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of(
        cls,
        image: Path | None,
        settings: dict[str, Any],
        selection: Selection,
        formats: Sequence[str],
        *,
        self_contained: bool,
    ) -> StackRecord:
        """Return the record of a run to come. ``self_contained`` tells whether no other file contains pixels."""
        facts = file_facts(image) if image is not None and self_contained else None
        path = None if image is None else str(image.resolve())
        record = cls(path, facts, settings, dataclasses.asdict(selection), list(formats))
        return cls(**json.loads(json.dumps(dataclasses.asdict(record))))

    @classmethod
    def read(cls, out: Path) -> StackRecord | None:
        """Return the record in a folder; None if there is none.

        Raises
        ------
        SettingsError
            If it is damaged.
        """
        path = out / RECORD
        if not path.exists():
            return None
        try:
            record = cls(**read_json(path))
            record.result(out)
        except (ValueError, TypeError, LookupError, AttributeError) as error:  # it may have any structure
            raise SettingsError(
                f"{path} is damaged ({error}): give another out=, or overwrite=True (--overwrite)"
            ) from error
        return record

    def write(self, out: Path, planes: Sequence[PlaneSummary], files: Sequence[Path]) -> StackResult:
        """Write the record of a finished run, and return its result."""
        names = [path.relative_to(out).as_posix() for path in files]
        record = dataclasses.replace(self, planes=[plane.to_json() for plane in planes], files=names)
        write_atomically(out / RECORD, json.dumps(dataclasses.asdict(record), indent=1) + "\n")
        return record.result(out)

    def result(self, out: Path) -> StackResult:
        """Return the result of a finished run."""
        if any(Path(name).is_absolute() or ".." in Path(name).parts for name in self.files):
            raise ValueError("it names files of other folders")
        return StackResult(
            out, tuple(map(PlaneSummary.from_json, self.planes)), tuple(out / name for name in self.files)
        )

    def is_of(self, other: StackRecord) -> bool:
        """Whether two runs have equal planes and equal labels, as far as can be told without reading pixels."""
        return self.facts is not None and (self.image, self.facts, self.settings, self.selection) == (
            other.image,
            other.facts,
            other.settings,
            other.selection,
        )

    def differences(self, now: StackRecord) -> list[str]:
        """Return how another run differs from this one, in words; a file that changed is the same image."""
        before, after = ({**each.settings, **each.selection} for each in (self, now))
        found = [
            f"{name} was {before.get(name)}, now is {after[name]}" for name in after if before.get(name) != after[name]
        ]
        if self.image != now.image:
            found.insert(0, f"the image was {self.image or 'an array'}, now is {now.image or 'an array'}")
        return found
