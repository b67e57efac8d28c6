"""Exploration of a labelled set before training: image categories, nucleus statistics and data problems."""

from nucleus_unet.exploration.page import write_page
from nucleus_unet.exploration.summary import Exploration, explore

__all__ = ["Exploration", "explore", "write_page"]
