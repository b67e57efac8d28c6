"""How right a model is: metrics, error analysis, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleus_unet.lazy import lazy_names

if TYPE_CHECKING:
    from nucleus_unet.evaluation.evaluate import Evaluation, evaluate
    from nucleus_unet.evaluation.metrics import Scores
    from nucleus_unet.evaluation.report import write_report

__all__ = ["Evaluation", "Scores", "evaluate", "write_report"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Evaluation": "nucleus_unet.evaluation.evaluate",
        "Scores": "nucleus_unet.evaluation.metrics",
        "evaluate": "nucleus_unet.evaluation.evaluate",
        "write_report": "nucleus_unet.evaluation.report",
    },
)
