"""The network and its bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleus_unet.lazy import lazy_names

if TYPE_CHECKING:
    from nucleus_unet.model.bundle import Bundle, BundleConfig, load_bundle
    from nucleus_unet.model.config import NetworkConfig
    from nucleus_unet.model.group_config import GroupConfig

__all__ = ["Bundle", "BundleConfig", "GroupConfig", "NetworkConfig", "load_bundle"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Bundle": "nucleus_unet.model.bundle",
        "BundleConfig": "nucleus_unet.model.bundle",
        "GroupConfig": "nucleus_unet.model.group_config",
        "NetworkConfig": "nucleus_unet.model.config",
        "load_bundle": "nucleus_unet.model.bundle",
    },
)
