"""The search for the settings that suit a labelled set: one folder a study, resumed where it stopped."""

from nucleus_unet.tuning.space import Space, read_space
from nucleus_unet.tuning.study import tune

__all__ = ["Space", "read_space", "tune"]
