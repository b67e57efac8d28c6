"""Model bundles: a folder, or a zip of one, with JSON and safetensors files. Nothing in a bundle is executed.

config.json          configuration of the network, its scale, settings of the grouping; checksum of the weights
weights.safetensors  weights in half precision, and the quantisation of the int8 form
metrics.json         evaluation results
MODEL_CARD.md        data, licence, recipe, limitations
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nucleus_unet.errors import BundleError, SettingsError
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.graph import Weights, receptive_radius, result_channels, weight_shapes
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.quality_score import QualityScore
from nucleus_unet.model.quantisation import INT8_PREFIX, Quantisation
from nucleus_unet.model.scale_score import ScaleScore

FORMAT = 3
_MAX_ZIP_BYTES = 2**30
# Entry of the configuration: SHA-256 of the file of the weights, hexadecimal.
_CHECKSUM = "weights_sha256"
EMBEDDED = ("embedded", "small")
"""Names of the models that come with the package. The first one is the default."""
CONFIG, WEIGHTS, METRICS, CARD = "config.json", "weights.safetensors", "metrics.json", "MODEL_CARD.md"


@dataclass(frozen=True)
class BundleConfig:
    """Configuration of a model.

    Attributes
    ----------
    name
        Name of the model.
    network
        Configuration of the network.
    group
        Settings of the grouping, without the quality of nuclei; see `grouping`.
    diameter
        The model's reference diameter: typical diameter of nuclei in pixels.
    mpp
        The model's training resolution: micrometres per pixel at which tissue has that diameter.
    mpp_known
        Whether ``mpp`` was measured. If so, stained tissue whose file contains its pixel size is scaled to ``mpp``.
    int8_is_default
        Whether int8 is the default precision on x86-64 processors. It should be if the loss on held-out images is
        negligible.
    scale_score
        The score by which the scale of an image is found. None: an image keeps its size unless the options scale it.
    quality_score
        The function that estimates the quality of a nucleus. None: the quality is not known, and nuclei are dropped by
        their mean foreground probability instead.
    """

    name: str
    network: NetworkConfig
    group: GroupConfig = field(default_factory=GroupConfig)
    diameter: float = 24.0
    mpp: float = 0.25
    mpp_known: bool = False
    int8_is_default: bool = False
    scale_score: ScaleScore | None = None
    quality_score: QualityScore | None = None

    @property
    def grouping(self) -> GroupConfig:
        """The settings by which nuclei are found once the scale is known.

        Where the quality of nuclei is known, it replaces their mean foreground probability. The scale itself is found
        with `group`.
        """
        if self.quality_score is None:
            return self.group
        return replace(self.group, quality=self.quality_score, min_score=0.0)

    def with_grouping(self, grouping: GroupConfig) -> BundleConfig:
        """Return the configuration with other settings, of the kind that `grouping` returns."""
        if self.quality_score is None:
            return replace(self, group=grouping)
        return replace(self, group=replace(grouping, quality=None, min_score=self.group.min_score))

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
            "int8_is_default": self.int8_is_default,
            "scale_score": None if self.scale_score is None else self.scale_score.to_json(),
            "quality_score": None if self.quality_score is None else self.quality_score.to_json(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> BundleConfig:
        """Inverse of `to_json`.

        Raises
        ------
        BundleError
            If the format is unknown, or if a value is missing, unknown or invalid.
        """
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            version = values.get("format") if isinstance(values, dict) else None
            raise BundleError(
                f"{CONFIG}: expected format {FORMAT}, got {version}; update nucleus-unet if the model is newer"
            )
        known = {"format", *(field.name for field in fields(cls))}
        for problem, names in ("missing", known - values.keys()), ("unknown", values.keys() - known):
            if names:
                raise BundleError(f"{CONFIG}: {problem}: {', '.join(sorted(names))}")
        scale, quality = values["scale_score"], values["quality_score"]
        if isinstance(values["group"], dict) and values["group"].get("quality") is not None:
            raise BundleError(f"{CONFIG}: group.quality: expected null: quality_score has the function")
        try:
            config = cls(
                name=str(values["name"]),
                network=NetworkConfig.from_json(values["network"]),
                group=GroupConfig.from_json(values["group"]),
                diameter=float(values["diameter"]),
                mpp=float(values["mpp"]),
                mpp_known=_boolean(values, "mpp_known"),
                int8_is_default=_boolean(values, "int8_is_default"),
                scale_score=None if scale is None else ScaleScore.from_json(scale),
                quality_score=None if quality is None else QualityScore.from_json(quality),
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise BundleError(f"{CONFIG}: {error}") from error
        if not all(math.isfinite(size) and size > 0 for size in (config.diameter, config.mpp)):
            raise BundleError(f"{CONFIG}: expected a positive diameter and mpp, got {config.diameter} and {config.mpp}")
        return config


def _boolean(values: Mapping[str, Any], name: str) -> bool:
    value = values[name]
    if not isinstance(value, bool):
        raise ValueError(f"{name}: expected true or false, got {value!r}")
    return value


@dataclass(frozen=True)
class SeenImages:
    """Images on which a model was trained or tuned, identified by `nucleus_unet.data.dataset.Example.digest`.

    Attributes
    ----------
    training
        Images on which its weights, or those of the model it was fine-tuned from, were trained. Empty if unknown.
    choice
        Images on which its settings were chosen.
    """

    training: frozenset[str] = frozenset()
    choice: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, list[str]]:
        """Return the content of ``seen`` in ``metrics.json``."""
        return {"training": sorted(self.training), "choice": sorted(self.choice)}

    @classmethod
    def from_metrics(cls, metrics: dict[str, Any]) -> SeenImages:
        """Return the object from the content of ``metrics.json``.

        Raises
        ------
        BundleError
            If ``seen`` is malformed.
        """
        seen = metrics.get("seen", {})
        lists = [seen.get("training", []), seen.get("choice", [])] if isinstance(seen, dict) else [seen]
        for digests in lists:
            if not isinstance(digests, list) or not all(isinstance(digest, str) for digest in digests):
                raise BundleError(f"{METRICS}: expected lists of digests in seen.training and seen.choice")
        return cls(*map(frozenset, lists))


@dataclass(frozen=True)
class Bundle:
    """A loaded model: arrays and settings, from which engines build networks.

    Attributes
    ----------
    config
        Configuration of the model.
    weights : mapping of str to NDArray[np.float32]
        Weights, named as in `nucleus_unet.model.graph.weight_shapes`.
    quantisation
        Quantisation of the int8 form. None if the model has none.
    fingerprint
        SHA-256 of configuration and weights, hexadecimal. Equal fingerprints give equal results.
    metrics
        Evaluation results. Empty if there are none.
    card
        Model card in Markdown. Empty if there is none.
    """

    config: BundleConfig
    weights: Weights
    quantisation: Quantisation | None
    fingerprint: str
    metrics: dict[str, Any]
    card: str = ""

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        statistics = ("running_mean", "running_var")
        return sum(weight.size for name, weight in self.weights.items() if not name.endswith(statistics))

    @property
    def seen(self) -> SeenImages:
        """Images on which the model was trained or tuned, from its metrics."""
        return SeenImages.from_metrics(self.metrics)


def load_bundle(path: Path | str | None = None) -> Bundle:
    """Load a bundle.

    Parameters
    ----------
    path
        Path of a folder or a zip, or the name of a model of the package: ``"embedded"``, the default, or ``"small"``. A
        bundle at a path of that name comes first.

    Raises
    ------
    BundleError
        If it is not a bundle, is damaged, or does not fit this version.
    FileNotFoundError
        If ``path`` does not exist.
    """
    where = path or EMBEDDED[0]
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
        entries = json.loads(config_bytes)
        stated = entries.pop(_CHECKSUM, None) if isinstance(entries, dict) else None
        config = BundleConfig.from_json(entries)
        receptive_radius(config.network)  # raises an error if the radius is too large
        weights, quantisation = read_tensors(config.network, weights_bytes)
        if config.int8_is_default and quantisation is None:
            raise BundleError(f"{CONFIG}: int8_is_default is true, but {WEIGHTS} has no int8 form")
        checksum = hashlib.sha256(weights_bytes).hexdigest()
        if stated != checksum:
            raise BundleError(
                f"{WEIGHTS} is damaged: {CONFIG} gives {_CHECKSUM} {stated}, the file has {checksum}; "
                "copy the model again"
            )
        metrics = json.loads(metrics_bytes)
        if not isinstance(metrics, dict):
            raise BundleError(f"{METRICS}: expected a JSON object, got {type(metrics).__name__}")
        SeenImages.from_metrics(metrics)
    except (BundleError, SettingsError, SafetensorError, RecursionError, LookupError, ValueError) as error:
        raise BundleError(f"{where}: {error}") from error
    fingerprint = hashlib.sha256(config_bytes + weights_bytes).hexdigest()
    return Bundle(config, weights, quantisation, fingerprint, metrics, card_bytes.decode(errors="replace"))


def read_tensors(config: NetworkConfig, content: bytes) -> tuple[Weights, Quantisation | None]:
    """Read the tensors of a network from the content of a safetensors file.

    Raises
    ------
    BundleError
        If a tensor is missing or unknown, has a wrong shape, or contains invalid numbers.
    """
    tensors = load(content)
    expected = weight_shapes(config)
    weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(INT8_PREFIX)}
    for problem, names in ("missing", expected.keys() - weights.keys()), ("unknown", weights.keys() - expected.keys()):
        if names:
            raise BundleError(f"{WEIGHTS}: {problem}: {_list_names(names)}")
    for name, shape in expected.items():
        if weights[name].shape != shape or weights[name].dtype.kind != "f":
            raise BundleError(
                f"{WEIGHTS}: expected floating-point numbers of shape {shape} in {name}, "
                f"got {weights[name].dtype} of shape {weights[name].shape}"
            )
    with np.errstate(over="ignore"):  # infinite values are reported below
        weights = {name: weight.astype(np.float32) for name, weight in weights.items()}
    _check_numbers(weights)
    return weights, Quantisation.from_tensors(tensors, result_channels(config))


def _list_names(names: Iterable[str]) -> str:
    first = sorted(names)
    return ", ".join(first[:5]) + (f" and {len(first) - 5} more" if len(first) > 5 else "")


def _check_numbers(weights: Mapping[str, NDArray[np.floating]]) -> None:
    for name, weight in weights.items():
        if not np.isfinite(weight).all():
            raise BundleError(
                f"{WEIGHTS}: expected finite numbers in the range of half precision, got NaN or infinity in {name}"
            )
        if name.endswith("running_var") and weight.min() < 0:
            raise BundleError(f"{WEIGHTS}: expected variances of at least 0, got {float(weight.min())} in {name}")


def _open(path: Path | str | None) -> Traversable:
    folder = Path(path or EMBEDDED[0])
    is_bundle = folder.is_file() or (folder / CONFIG).exists()
    if path is None or (str(folder) in EMBEDDED and not is_bundle):
        return resources.files("nucleus_unet") / "weights" / str(folder)
    if folder.is_dir():
        return folder
    if not folder.exists():
        raise FileNotFoundError(
            f"no model bundle at {folder}: give the path of a bundle, a folder or a zip, or the name of a model of the "
            f"package: {' or '.join(EMBEDDED)}"
        )
    if not zipfile.is_zipfile(folder):
        raise BundleError(f"{folder}: expected a folder or a zip archive")
    root: zipfile.Path = zipfile.Path(folder)
    size = sum(member.file_size for member in root.root.infolist())
    if size > _MAX_ZIP_BYTES:
        raise BundleError(f"{folder}: expected at most {_MAX_ZIP_BYTES:,} bytes when unpacked, got {size:,}")
    inside = [member for member in root.iterdir() if member.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else root


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle, with its weights in half precision. That of a loaded bundle has the same fingerprint.

    Parameters
    ----------
    bundle
        Its fingerprint is not looked at. Without a model card none is written.
    folder
        Folder of the bundle, created if missing. Files of an earlier bundle are replaced one by one, the configuration
        last.

    Raises
    ------
    BundleError
        If a weight is NaN or outside of the range of half precision.
    """
    with np.errstate(over="ignore"):  # infinite values are reported below
        tensors: dict[str, NDArray[Any]] = {name: weight.astype(np.float16) for name, weight in bundle.weights.items()}
    _check_numbers(tensors)
    if bundle.quantisation is not None:
        tensors |= bundle.quantisation.to_tensors()
    weights = save(tensors)
    write_atomically(folder / WEIGHTS, weights)
    write_atomically(folder / METRICS, json.dumps(bundle.metrics, indent=2) + "\n")
    if bundle.card:
        write_atomically(folder / CARD, bundle.card)
    else:
        (folder / CARD).unlink(missing_ok=True)  # that of an earlier bundle
    entries = {**bundle.config.to_json(), _CHECKSUM: hashlib.sha256(weights).hexdigest()}
    write_atomically(folder / CONFIG, json.dumps(entries, indent=2) + "\n")
