"""Model bundles: a folder, or a zip of one, with JSON and safetensors inside. Nothing in it is ever executed.

config.json          shape of the network, scale it likes, how its maps are grouped
weights.safetensors  half precision
metrics.json         what was measured of it
MODEL_CARD.md        data, licence, recipe, limits
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import zipfile
import zlib
from dataclasses import dataclass, field, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from nucleus_unet.errors import BundleError, SettingsError
from nucleus_unet.files import write_atomically
from nucleus_unet.grouping import GroupConfig
from nucleus_unet.network import Network, NetworkConfig, moderated

FORMAT = 1
_LARGEST_ZIP = 2**30
EMBEDDED = "dsb2018"
CONFIG, WEIGHTS, METRICS, CARD = "config.json", "weights.safetensors", "metrics.json", "MODEL_CARD.md"


@dataclass(frozen=True)
class BundleConfig:
    """What a bundle says of its model.

    Attributes
    ----------
    name
        For people.
    network
        Shape of the network.
    group
        How its maps become nuclei.
    diameter
        Nuclear diameter in pixels that the model is at home with.
    mpp
        Micrometres per pixel at which tissue has that diameter.
    mpp_known
        Whether that was measured, so that stained tissue whose file tells its pixel size can be brought to it.
    """

    name: str
    network: NetworkConfig
    group: GroupConfig = field(default_factory=GroupConfig)
    diameter: float = 24.0
    mpp: float = 0.25
    mpp_known: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "format": FORMAT,
            "name": self.name,
            "network": self.network.to_json(),
            "group": self.group.to_json(),
            "diameter": self.diameter,
            "mpp": self.mpp,
            "mpp_known": self.mpp_known,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> BundleConfig:
        """Inverse of `to_json`.

        Raises
        ------
        BundleError
            If the format is another, or something is missing or unknown.
        """
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            found = values.get("format") if isinstance(values, dict) else None
            raise BundleError(f"{CONFIG}: expected format {FORMAT}, got {found}; is nucleus-unet up to date?")
        known = {"format", *(each.name for each in fields(cls))}
        for problem, names in ("missing", known - values.keys()), ("unknown", values.keys() - known):
            if names:
                raise BundleError(f"{CONFIG}: {problem}: {', '.join(sorted(names))}")
        try:
            config = cls(
                name=str(values["name"]),
                network=NetworkConfig.from_json(values["network"]),
                group=GroupConfig.from_json(values["group"]),
                diameter=float(values["diameter"]),
                mpp=float(values["mpp"]),
                mpp_known=bool(values["mpp_known"]),
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise BundleError(f"{CONFIG}: {error}") from error
        if not all(math.isfinite(size) and size > 0 for size in (config.diameter, config.mpp)):
            raise BundleError(f"{CONFIG}: expected a positive diameter and mpp, got {config.diameter} and {config.mpp}")
        return config


@dataclass(frozen=True)
class SeenImages:
    """Images that a model knows, by `nucleus_unet.training.dataset.Example.digest`.

    Attributes
    ----------
    training
        Those that its weights, or those of the model it came from, were trained on. Empty if nothing tells.
    choice
        Those that its grouping or its settings were chosen on.
    """

    training: frozenset[str] = frozenset()
    choice: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, list[str]]:
        """Return what ``metrics.json`` says under ``seen``."""
        return {"training": sorted(self.training), "choice": sorted(self.choice)}

    @classmethod
    def from_metrics(cls, metrics: dict[str, Any]) -> SeenImages:
        """Find in metrics what `to_json` made.

        Raises
        ------
        BundleError
            There is something else.
        """
        said = metrics.get("seen", {})
        lists = [said.get("training", []), said.get("choice", [])] if isinstance(said, dict) else [said]
        for each in lists:
            if not isinstance(each, list) or not all(isinstance(digest, str) for digest in each):
                raise BundleError(f"{METRICS}: expected lists of digests in seen.training and seen.choice")
        return cls(*map(frozenset, lists))


@dataclass(frozen=True)
class Bundle:
    """A model as loaded: the network on the CPU, in evaluation mode and float32.

    Attributes
    ----------
    config
        What the bundle says of it.
    network
        Ready to run.
    fingerprint
        SHA-256 of configuration and weights: two equal ones give equal results.
    metrics
        What was measured of it; empty if nothing was.
    card
        Its model card, in Markdown; empty if it has none.
    """

    config: BundleConfig
    network: Network
    fingerprint: str
    metrics: dict[str, Any]
    card: str = ""

    @property
    def seen(self) -> SeenImages:
        """Images that the model knows, as far as its metrics tell."""
        return SeenImages.from_metrics(self.metrics)


def load_bundle(path: Path | str | None = None) -> Bundle:
    """Load a bundle.

    Parameters
    ----------
    path
        A folder or a zip; None for the model that comes with the package.

    Raises
    ------
    BundleError
        If it is none, is damaged, or does not fit this version.
    FileNotFoundError
        If there is nothing at ``path``.
    """
    where = path or "the embedded model"
    try:
        place = _open(path)
        config_bytes = (place / CONFIG).read_bytes()
        weights_bytes = (place / WEIGHTS).read_bytes()
        metrics_bytes = (place / METRICS).read_bytes() if (place / METRICS).is_file() else b"{}"
        card_bytes = (place / CARD).read_bytes() if (place / CARD).is_file() else b""
    except (FileNotFoundError, KeyError, NotADirectoryError, IsADirectoryError) as error:
        if path is not None and not Path(path).exists():
            raise
        raise BundleError(f"{where}: expected {CONFIG} and {WEIGHTS} inside, but {error}") from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:  # RuntimeError: encrypted
        raise BundleError(f"{where}: the zip archive is damaged or encrypted: {error}") from error
    try:
        config = BundleConfig.from_json(json.loads(config_bytes))
        network = build_network(config.network, weights_bytes)
        metrics = json.loads(metrics_bytes)
        if not isinstance(metrics, dict):
            raise BundleError(f"{METRICS}: expected a JSON object, got {type(metrics).__name__}")
        SeenImages.from_metrics(metrics)
    except (BundleError, SettingsError, SafetensorError, RuntimeError, ValueError) as error:  # also too deep JSON
        raise BundleError(f"{where}: {error}") from error
    fingerprint = hashlib.sha256(config_bytes + weights_bytes).hexdigest()
    return Bundle(config, network, fingerprint, metrics, card_bytes.decode(errors="replace"))


def build_network(config: NetworkConfig, weights: bytes) -> Network:
    """Make a network, in evaluation mode and float32, from its configuration and the safetensors of its weights."""
    with torch.device("meta"):  # a stranger's configuration claims no memory that the weights do not fill
        network = Network(config)
    tensors = {name: tensor.to(torch.float32) for name, tensor in load(weights).items()}
    _check_finite(tensors)
    network.load_state_dict(tensors, assign=True)
    return network.to(memory_format=torch.channels_last).eval()


def _check_finite(tensors: dict[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if name.endswith("running_var") and tensor.min() < 0:
            raise BundleError(f"{WEIGHTS}: expected variances of at least 0, got {float(tensor.min())} in {name}")
        if not tensor.isfinite().all():
            raise BundleError(f"{WEIGHTS}: expected finite numbers in half precision, got NaN or infinity in {name}")


def _open(path: Path | str | None) -> Traversable:
    if path is None:
        return resources.files("nucleus_unet") / "weights" / EMBEDDED
    folder = Path(path)
    if folder.is_dir():
        return folder
    if not folder.exists():
        raise FileNotFoundError(f"no model bundle at {folder}")
    if not zipfile.is_zipfile(folder):
        raise BundleError(f"{folder}: expected a folder or a zip archive")
    root: zipfile.Path = zipfile.Path(folder)
    size = sum(member.file_size for member in root.root.infolist())
    if size > _LARGEST_ZIP:
        raise BundleError(f"{folder}: expected at most {_LARGEST_ZIP:,} bytes when unpacked, got {size:,}")
    inside = [each for each in root.iterdir() if each.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else root


def save_bundle(
    folder: Path,
    network: Network,
    config: BundleConfig,
    *,
    metrics: dict[str, Any] | None = None,
    card: str | None = None,
) -> None:
    """Write a bundle; weights go to half precision.

    Parameters
    ----------
    folder
        Made if missing. Files of an earlier bundle in it are replaced one by one, the configuration last.
    network, config
        The model.
    metrics, card
        What was measured of it, and its model card, where there are any.

    Raises
    ------
    BundleError
        If a weight is NaN, or too large for half precision.
    """
    tensors = {
        name: (tensor.detach().half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in moderated(network).state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    _check_finite(tensors)
    write_atomically(folder / WEIGHTS, save(tensors))
    if metrics is not None:
        write_atomically(folder / METRICS, json.dumps(metrics, indent=2) + "\n")
    if card is not None:
        write_atomically(folder / CARD, card)
    write_atomically(folder / CONFIG, json.dumps(config.to_json(), indent=2) + "\n")
