"""Which image a slide's results are of: a file beside them that names it, for those who look at both.

The results do not depend on it: an image that was moved or renamed has the same plan.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from nucleus_unet.errors import DataError
from nucleus_unet.io.atomic import read_json, write_atomically
from nucleus_unet.io.selection import Selection

SOURCE = "source.json"


@dataclass(frozen=True)
class SlideSource:
    """An image file, and the plane of it that was segmented.

    Attributes
    ----------
    image
        Absolute path.
    selection
        The plane.
    axes, channel_axis
        As `nucleus_unet.io.source.open_image` takes them.
    """

    image: str
    selection: Selection = dataclasses.field(default_factory=Selection)
    axes: str | None = None
    channel_axis: int | None = None

    def write(self, folder: Path) -> None:
        """Write the file into the folder of the results, unless it says the same already."""
        content = json.dumps(dataclasses.asdict(self), indent=1) + "\n"
        path = folder / SOURCE
        if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != content:
            write_atomically(path, content)

    @classmethod
    def read(cls, folder: Path) -> SlideSource | None:
        """Return what the folder of the results says; None if it says nothing.

        Raises
        ------
        DataError
            If the file is damaged.
        """
        path = folder / SOURCE
        if not path.exists():
            return None
        try:
            values = read_json(path)
            return cls(**{**values, "image": str(values["image"]), "selection": Selection(**values["selection"])})
        except (ValueError, TypeError, LookupError) as error:
            raise DataError(f"{path} is damaged ({error}): delete it, then repeat the same run") from error
