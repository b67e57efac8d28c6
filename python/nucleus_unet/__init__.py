"""Find the nuclei in a microscopy image of any size, out of the box, offline.

`Segmenter` finds nuclei. `Segmentation` is its result for an image, `SlideResult` for a slide, `StackResult` for many
planes on disk. All names load on first use, so that importing the package stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleus_unet._core import __version__
from nucleus_unet.lazy import lazy_names

if TYPE_CHECKING:
    from nucleus_unet import errors, masks
    from nucleus_unet.errors import NucleusError
    from nucleus_unet.model.bundle import Bundle, load_bundle
    from nucleus_unet.options import PredictOptions, SlideOptions
    from nucleus_unet.segmentation import Segmentation
    from nucleus_unet.segmenter import Segmenter
    from nucleus_unet.slides.export import export_slide
    from nucleus_unet.slides.result import SlideResult
    from nucleus_unet.stacks.result import StackResult
    from nucleus_unet.viewer import view

__all__ = [
    "Bundle",
    "NucleusError",
    "PredictOptions",
    "Segmentation",
    "Segmenter",
    "SlideOptions",
    "SlideResult",
    "StackResult",
    "__version__",
    "errors",
    "export_slide",
    "load_bundle",
    "masks",
    "view",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Bundle": "nucleus_unet.model.bundle",
        "NucleusError": "nucleus_unet.errors",
        "PredictOptions": "nucleus_unet.options",
        "Segmentation": "nucleus_unet.segmentation",
        "Segmenter": "nucleus_unet.segmenter",
        "SlideOptions": "nucleus_unet.options",
        "SlideResult": "nucleus_unet.slides.result",
        "StackResult": "nucleus_unet.stacks.result",
        "errors": "nucleus_unet.errors",
        "export_slide": "nucleus_unet.slides.export",
        "load_bundle": "nucleus_unet.model.bundle",
        "masks": "nucleus_unet.masks",
        "view": "nucleus_unet.viewer",
    },
)
