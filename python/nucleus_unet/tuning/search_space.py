"""What a study tries: for each setting of training a range, or a list of choices."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucleus_unet.errors import SettingsError
from nucleus_unet.io.atomic import read_json
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.training.augmentation import AugmentConfig
from nucleus_unet.training.trainer import TrainConfig

if TYPE_CHECKING:
    from optuna.trial import Trial

_SETTINGS = {
    field.name: part
    for part, config in (("network", NetworkConfig), ("augment", AugmentConfig), ("", TrainConfig))
    for field in dataclasses.fields(config)
}
# What only one form of the network has.
_OF_FORM = {"decoder": "lite0", "width": "plain", "depth": "plain", "stem_stride": "plain"}
# What a study itself decides, or what would make trials incomparable.
_FIXED = ("network", "augment", "pretrained", "samples", "seed", "precision", "checkpoint_every", "validate_every")


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, drawn evenly, or evenly over orders of magnitude."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Space:
    """What a study tries.

    Attributes
    ----------
    settings
        By the name of a field of `TrainConfig`, `NetworkConfig` or `AugmentConfig`: a `Range`, or a tuple of choices.
    """

    settings: Mapping[str, Range | tuple[Any, ...]]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Let a trial choose a value for each setting."""
        values: dict[str, Any] = {}
        for name, setting in self.settings.items():
            if isinstance(setting, Range):
                values[name] = trial.suggest_float(name, setting.low, setting.high, log=setting.log)
            else:
                # As text: the journal keeps no lists.
                values[name] = trial.suggest_categorical(name, [json.dumps(each) for each in setting])
        return self.values_of(values)

    def values_of(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that a trial's parameters, as the journal keeps them, stand for."""
        return {
            name: value if isinstance(self.settings[name], Range) else json.loads(value)
            for name, value in parameters.items()
        }

    def parameters_of(self, config: TrainConfig) -> dict[str, Any] | None:
        """Inverse of `values_of`, for the settings of a configuration; None if one of them is outside of the space."""
        parameters: dict[str, Any] = {}
        for name, setting in self.settings.items():
            value = value_in(config, name)
            found: list[Any]
            if isinstance(setting, Range):
                found = [float(value)] if setting.low <= value <= setting.high else []
            else:
                found = [text for text in map(json.dumps, setting) if json.loads(text) == value]
            if not found:
                return None
            parameters[name] = found[0]
        return parameters


def value_in(config: TrainConfig, name: str) -> Any:
    """Return the value that a configuration has for a setting of a space, as JSON types.

    Examples
    --------
    >>> value_in(TrainConfig(), "decoder")
    [128, 96, 48, 24]
    """
    part = _SETTINGS[name]
    return json.loads(json.dumps(getattr(getattr(config, part) if part else config, name)))


def configured(base: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """Return a training configuration with some settings changed, its samples rounded up to whole batches.

    Examples
    --------
    >>> config = configured(TrainConfig(samples=200), {"batch_size": 16, "dropout": 0.2, "strength": 0.5})
    >>> config.samples, config.network.dropout, config.augment.strength
    (208, 0.2, 0.5)
    """
    parts: dict[str, dict[str, Any]] = {"": {}, "network": {}, "augment": {}}
    for name, value in values.items():
        parts[_SETTINGS[name]][name] = tuple(value) if isinstance(value, list) else value
    batch_size = parts[""].get("batch_size", base.batch_size)
    return dataclasses.replace(
        base,
        **parts[""],
        samples=math.ceil(base.samples / batch_size) * batch_size,
        network=dataclasses.replace(base.network, **parts["network"]),
        augment=dataclasses.replace(base.augment, **parts["augment"]),
    )


def read_space(path: Path | None = None, *, form: str = "lite0") -> Space:
    """Read a search space; without a path, the one that comes with the package, as far as the form has its settings.

    Parameters
    ----------
    path
        Of a TOML file: a table for each setting, with ``low``, ``high`` and perhaps ``log``, or with ``choices``.
    form
        Of the network, as `NetworkConfig` has it.

    Raises
    ------
    SettingsError
        The file is no such space; the message names the setting.
    OSError
        It cannot be opened.

    Examples
    --------
    >>> read_space().settings["dropout"]
    Range(low=0.0, high=0.4, log=False)
    """
    source = files("nucleus_unet.tuning").joinpath("default_space.toml") if path is None else path
    try:
        tables = tomllib.loads(source.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{source} is no readable TOML: {error}") from error
    if not tables:
        raise SettingsError(f"{source}: expected at least one setting")
    settings = {name: _setting(name, table, source) for name, table in tables.items()}
    foreign = [name for name in settings if _OF_FORM.get(name, form) != form]
    if foreign and path is not None:
        raise SettingsError(f"{source}: a network of the form {form} has no {' or '.join(foreign)}")
    return Space({name: setting for name, setting in settings.items() if name not in foreign})


def _setting(name: str, table: object, source: object) -> Range | tuple[Any, ...]:
    _refuse_unknown(name, source)
    if isinstance(table, dict) and set(table) == {"choices"} and isinstance(table["choices"], list):
        choices = tuple(table["choices"])
        for value in choices:
            _check(name, value, source)
        if choices:
            return choices
    if isinstance(table, dict) and {"low", "high"} <= set(table) <= {"low", "high", "log"}:
        low, high, log = table["low"], table["high"], table.get("log", False)
        numbers = all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in (low, high))
        if numbers and isinstance(log, bool) and math.isfinite(high) and low <= high and (low > 0 or not log):
            for value in (low, high):
                _check(name, float(value), source)
            return Range(float(low), float(high), log)
    raise SettingsError(f"{source}: {name}: expected choices = [...], or low and high (with log = true, above 0)")


def _refuse_unknown(name: str, source: object) -> None:
    known = sorted(set(_SETTINGS) - set(_FIXED))
    if name not in known:
        raise SettingsError(f"{source}: {name} is no setting to be tried; known are {', '.join(known)}")


def _check(name: str, value: object, source: object) -> None:
    """Refuse before any training what no training would take."""
    base = TrainConfig()
    default = value_in(base, name)
    try:
        if isinstance(default, int) and type(value) is not int:
            raise SettingsError("expected a whole number (of choices)")
        if isinstance(default, float) and type(value) not in (int, float):
            raise SettingsError("expected a number")
        configured(base, {name: value})
    except (SettingsError, TypeError, ValueError, ZeroDivisionError) as error:
        raise SettingsError(f"{source}: {name} = {value!r}: {error}") from error


def read_settings(path: Path) -> dict[str, Any]:
    """Read the best settings that a study found, from its ``best.json``.

    Raises
    ------
    SettingsError
        The file holds none.
    OSError
        It cannot be opened.
    """
    try:
        best = read_json(path)
    except ValueError as error:
        raise SettingsError(f"{path} is no readable JSON: {error}") from error
    settings = best.get("settings") if isinstance(best, dict) else None
    if not isinstance(settings, dict):
        raise SettingsError(f"{path}: expected the best.json of a study, with settings")
    for name, value in settings.items():
        _refuse_unknown(name, path)
        _check(name, value, path)
    return settings
