"""A model for programs that know nothing of this package: ONNX, OpenVINO, or a package for bioimage.io."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from nucleus_unet.errors import SettingsError
from nucleus_unet.exports.model_description import MADE_BY, describe, metadata
from nucleus_unet.extras import require
from nucleus_unet.io.atomic import TEMPORARY, check_writable, read_json, write_atomically
from nucleus_unet.model.bundle import Bundle

Kind = Literal["onnx", "openvino", "bioimageio"]
ExportPrecision = Literal["auto", "int8", "float32"]

_SUFFIXES: dict[Kind, str] = {"onnx": ".onnx", "openvino": ".xml", "bioimageio": ".zip"}


def export_model(bundle: Bundle, out: Path, kind: Kind, *, precision: ExportPrecision = "auto") -> list[Path]:
    """Write a model in another format, and beside it a description of all that belongs to it.

    The files are there whole or not at all. Those of an earlier export are replaced.

    Parameters
    ----------
    bundle
        The model.
    out
        The model's file; its suffix, ``.onnx``, ``.xml`` (OpenVINO) or ``.zip`` (bioimage.io), is added if missing.
        The description goes to the same name with ``.json`` behind it.
    kind
        The format.
    precision
        Of OpenVINO's graph: ``"int8"``, ``"float32"``; ``"auto"`` takes int8 if the bundle says so. The other formats
        are in single precision.

    Returns
    -------
    list of Path
        The files, the model's own first, the description last.

    Raises
    ------
    SettingsError
        If an option is none, or at ``out`` is something that no export made.
    MissingExtraError
        If the format needs a package that is not installed.
    """
    if kind not in _SUFFIXES:
        raise SettingsError(f"format: expected {', '.join(_SUFFIXES)}, got {kind!r}")
    if out.name in ("", ".."):
        raise SettingsError(f"out: expected the name of a file, got {str(out)!r}")
    chosen = _choose_precision(bundle, kind, precision)
    target = out if out.suffix == _SUFFIXES[kind] else out.with_name(out.name + _SUFFIXES[kind])
    _check_packages(kind)
    names = [target.name, target.with_suffix(".bin").name] if kind == "openvino" else [target.name]
    _refuse_foreign(target, names)
    check_writable(target.absolute().parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=target.parent) as temporary:
        staged = Path(temporary) / target.name
        description = describe(
            bundle, kind, precision=chosen, layout="NHWC, N = 1" if kind == "openvino" else "NCHW, N is free"
        )
        if kind == "onnx":
            write_atomically(staged, onnx_bytes(bundle, description))
        elif kind == "openvino":
            _write_openvino(bundle, staged, description)
        else:
            from nucleus_unet.exports.bioimageio import write_package

            write_package(bundle, staged, description, onnx_bytes(bundle, description))
        digests = {name: _digest(staged.with_name(name)) for name in names}
        write_atomically(_beside(staged), json.dumps({**description, "files": digests}, indent=2) + "\n")
        return _put_in_place(staged.parent, target.parent, [*names, _beside(target).name])


def onnx_bytes(bundle: Bundle, description: dict[str, Any]) -> bytes:
    """Return a model as the bytes of an ONNX file, with its description inside."""
    from nucleus_unet.model.onnx_graph import build_onnx

    graph = build_onnx(bundle.config.network, bundle.weights, metadata=metadata(description))
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def _choose_precision(bundle: Bundle, kind: Kind, precision: ExportPrecision) -> Literal["int8", "float32"]:
    if precision not in get_args(ExportPrecision):
        raise SettingsError(f"precision: expected {', '.join(get_args(ExportPrecision))}, got {precision!r}")
    if precision == "int8" and kind != "openvino":
        raise SettingsError(f"precision: int8 is for the format openvino; {kind} is in float32")
    if precision == "int8" and bundle.quantisation is None:
        raise SettingsError(f"precision: the model {bundle.config.name!r} has no int8 form; take 'auto' or 'float32'")
    if precision == "auto":
        return "int8" if kind == "openvino" and bundle.config.int8_is_default else "float32"
    return precision


def _check_packages(kind: Kind) -> None:
    if kind == "openvino":
        from nucleus_unet.inference.devices import openvino_is_installed

        if not openvino_is_installed():
            raise SettingsError("format: openvino is not installed, as there is none for this platform; take 'onnx'")
        return
    require("onnx", f"the format {kind} needs onnx", extra=kind)
    if kind == "bioimageio":
        for module in ("bioimageio.spec", "onnxruntime"):
            require(module, f"the format {kind} needs {module}", extra=kind)


def _write_openvino(bundle: Bundle, path: Path, description: dict[str, Any]) -> None:
    import openvino

    from nucleus_unet.model.openvino_graph import build_graph

    quantisation = bundle.quantisation if description["precision"] == "int8" else None
    graph = build_graph(bundle.config.network, bundle.weights, quantisation)
    graph.input(0).get_tensor().set_names({description["input"]["name"]})
    graph.output(0).get_tensor().set_names({description["output"]["name"]})
    for name, value in metadata(description).items():
        graph.set_rt_info(value, ["nucleus-unet", name])
    # Weights with batch normalisation folded in do not fit half precision without loss.
    openvino.save_model(graph, path, compress_to_fp16=False)


def _beside(target: Path) -> Path:
    """Where the description of a model's file is."""
    return target.with_name(target.name + ".json")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _refuse_foreign(target: Path, names: Sequence[str]) -> None:
    """Raise `SettingsError` unless all files that would be replaced are as an export wrote them."""
    description = _beside(target)
    recorded: dict[str, str] = {}
    if description.exists():
        try:
            said = read_json(description)
        except (ValueError, OSError):
            said = None
        files = said.get("files") if isinstance(said, dict) and said.get("made_by") == MADE_BY else None
        if not isinstance(files, dict):
            raise _foreign(description)
        recorded = files
    for path in (target.with_name(name) for name in names):
        if path.exists() and (not path.is_file() or recorded.get(path.name) != _digest(path)):
            raise _foreign(path)


def _foreign(path: Path) -> SettingsError:
    return SettingsError(
        f"{path}: expected nothing, or an earlier export as it was written, found something else: give another --out"
    )


def _put_in_place(staged: Path, folder: Path, names: Sequence[str]) -> list[Path]:
    """Move files, the model's own first in ``names``, in place of those of an earlier export.

    The model's own file goes first and comes last, the description the other way round. So whoever finds a model finds
    all that belongs to it, and an export that was cut off here can be made again.
    """
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for name in reversed(names):
        (staged / name).replace(folder / name)
    return [folder / name for name in names]
