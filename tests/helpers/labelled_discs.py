"""Small labelled images of three discs."""

import numpy as np
from nucleus_unet.data.dataset import Example
from scipy import ndimage

from helpers.images import draw_discs


def example(number: int) -> Example:
    image = draw_discs((96, 96), [(24, 24, 8), (26, 64, 9), (66, 30 + number, 8)])
    labels = ndimage.label(image > 100)[0].astype(np.uint32)
    return Example(f"{number}", "discs", image, labels, f"{number}")


EXAMPLES = [example(number) for number in range(3)]
