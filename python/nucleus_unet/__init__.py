"""Find every nucleus in a microscopy image of any size, out of the box, offline.

`Segmenter` finds nuclei, `Segmentation` is what it returns. Both load on first use, so that importing the package
stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nucleus_unet._core import __version__

if TYPE_CHECKING:
    from nucleus_unet.segmentation import Segmentation
    from nucleus_unet.segmenter import Segmenter

__all__ = ["Segmentation", "Segmenter", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("Segmentation", "Segmenter"):
        return getattr(import_module(f"nucleus_unet.{name.lower()}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
