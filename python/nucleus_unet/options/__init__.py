"""The options of prediction: named, documented and validated in one place."""

from nucleus_unet.options.prediction import (
    ImageKeywords,
    ImageOptions,
    OnePlaneKeywords,
    PredictKeywords,
    PredictOptions,
    Roi,
    SlideKeywords,
    SlideOptions,
    parse_options,
    takes_options,
)

__all__ = [
    "ImageKeywords",
    "ImageOptions",
    "OnePlaneKeywords",
    "PredictKeywords",
    "PredictOptions",
    "Roi",
    "SlideKeywords",
    "SlideOptions",
    "parse_options",
    "takes_options",
]
