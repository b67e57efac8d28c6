"""The search for the settings that suit a labelled set: one study a folder, or a database for several machines."""

from nucleus_unet.tuning.database import Database
from nucleus_unet.tuning.search_space import Space, read_space
from nucleus_unet.tuning.study import tune

__all__ = ["Database", "Space", "read_space", "tune"]
