"""Functions for the quality of nuclei that nobody learned."""

import numpy as np
from nucleus_unet.model.quality_score import MEASUREMENTS, TERMS, QualityScore


def random_score(seed: int) -> QualityScore:
    rng = np.random.default_rng(seed)
    mean, spread, weights = rng.random(MEASUREMENTS), rng.uniform(0.1, 2, MEASUREMENTS), rng.normal(size=TERMS)
    return QualityScore(*(tuple(values.tolist()) for values in (mean, spread, weights)))
