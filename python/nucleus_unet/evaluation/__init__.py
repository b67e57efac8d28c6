"""How right a model is: metrics, error analysis, reports."""

from nucleus_unet.evaluation.evaluate import Evaluation, evaluate
from nucleus_unet.evaluation.metrics import Scores
from nucleus_unet.evaluation.report import write_report

__all__ = ["Evaluation", "Scores", "evaluate", "write_report"]
