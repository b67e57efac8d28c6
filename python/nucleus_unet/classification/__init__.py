"""Teach a classifier of nuclei from a handful of marked ones, and apply it to finished tables."""

from nucleus_unet.classification.apply import classify_results
from nucleus_unet.classification.train import TrainedClassifier, train_classifier

__all__ = ["TrainedClassifier", "classify_results", "train_classifier"]
