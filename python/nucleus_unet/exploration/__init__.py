"""What a labelled set holds, before anything is trained on it: kinds of image, sizes and shapes of nuclei, faults."""

from nucleus_unet.exploration.overview import Exploration, explore
from nucleus_unet.exploration.page import write_page

__all__ = ["Exploration", "explore", "write_page"]
