"""What can go wrong, one class a cause. File-system errors stay Python's own."""


class NucleusError(Exception):
    """Base of every error that nucleus-unet raises on purpose."""


class ImageError(NucleusError, ValueError):
    """An image that cannot be segmented: its shape, dtype, axes or values."""


class MaskError(NucleusError, ValueError):
    """A mask, label image or run-length encoding that breaks its contract."""


class BundleError(NucleusError, ValueError):
    """A model bundle that is incomplete, damaged or not one."""


class DataError(NucleusError, ValueError):
    """A training set of no known layout, or a damaged file of a run, of marks or of a classifier."""


class DownloadError(NucleusError, OSError):
    """A download that could not be completed or did not verify."""


class DatabaseError(NucleusError, OSError):
    """A database that cannot be reached, or that refuses an operation."""


class SettingsError(NucleusError, ValueError):
    """An option out of its range, or options that contradict each other."""


class MissingExtraError(NucleusError, ImportError):
    """An optional package is needed; the message names the pip command."""


class CancelledError(NucleusError):
    """A call that its caller cancelled."""
