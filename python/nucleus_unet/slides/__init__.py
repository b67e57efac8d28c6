"""Images of any size: tiles, blocks, and results that are written while the work goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleus_unet.lazy import lazy_names

if TYPE_CHECKING:
    from nucleus_unet.slides.export import export_slide, save_slide
    from nucleus_unet.slides.plan import SlidePlan
    from nucleus_unet.slides.result import SlideResult

__all__ = ["SlidePlan", "SlideResult", "export_slide", "save_slide"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "SlidePlan": "nucleus_unet.slides.plan",
        "SlideResult": "nucleus_unet.slides.result",
        "export_slide": "nucleus_unet.slides.export",
        "save_slide": "nucleus_unet.slides.export",
    },
)
