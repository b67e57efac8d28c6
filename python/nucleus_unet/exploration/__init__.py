"""What a labelled set holds, before anything is trained on it: kinds of image, sizes and shapes of nuclei, faults."""

from nucleus_unet.exploration.page import write_page
from nucleus_unet.exploration.summary import Exploration, explore

__all__ = ["Exploration", "explore", "write_page"]
