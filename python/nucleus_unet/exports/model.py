"""Export of models for other programs: ONNX, OpenVINO, or a bioimage.io package."""

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

Format = Literal["onnx", "openvino", "bioimageio"]
ExportPrecision = Literal["auto", "int8", "float32"]

_SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "bioimageio": ".zip"}


def export_model(bundle: Bundle, out: Path, file_format: Format, *, precision: ExportPrecision = "auto") -> list[Path]:
    """Write a model in another format, with a description of its input, output and grouping.

    The files are written atomically. Files of an earlier export are replaced.

    Parameters
    ----------
    bundle
        The model.
    out
        Path of the model's file. The suffix ``.onnx``, ``.xml`` (OpenVINO) or ``.zip`` (bioimage.io) is added if
        missing. The description has the same name with ``.json`` appended.
    file_format
        Format of the file.
    precision
        Precision of the OpenVINO graph: ``"int8"``, ``"float32"``, or ``"auto"`` for the bundle's default. The other
        formats are in single precision.

    Returns
    -------
    list of Path
        The written files. The model's file is the first, the description is the last.

    Raises
    ------
    SettingsError
        An option is invalid, or a file at ``out`` was not written by an export.
    MissingExtraError
        The format needs a package that is not installed.
    """
    if file_format not in _SUFFIXES:
        raise SettingsError(f"format: expected {', '.join(_SUFFIXES)}, got {file_format!r}")
    if out.name in ("", ".."):
        raise SettingsError(f"out: expected the name of a file, got {str(out)!r}")
    chosen = _choose_precision(bundle, file_format, precision)
    target = out if out.suffix == _SUFFIXES[file_format] else out.with_name(out.name + _SUFFIXES[file_format])
    _check_packages(file_format)
    names = [target.name, target.with_suffix(".bin").name] if file_format == "openvino" else [target.name]
    _check_replaceable(target, names)
    check_writable(target.absolute().parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=target.parent) as temporary:
        staged = Path(temporary) / target.name
        description = describe(
            bundle,
            file_format,
            precision=chosen,
            layout="NHWC, N = 1" if file_format == "openvino" else "NCHW, N is free",
        )
        if file_format == "onnx":
            write_atomically(staged, onnx_bytes(bundle, description))
        elif file_format == "openvino":
            _write_openvino(bundle, staged, description)
        else:
            from nucleus_unet.exports.bioimageio import write_package

            write_package(bundle, staged, description, onnx_bytes(bundle, description))
        digests = {name: _digest(staged.with_name(name)) for name in names}
        write_atomically(_description_path(staged), json.dumps({**description, "files": digests}, indent=2) + "\n")
        return _move_into_place(staged.parent, target.parent, [*names, _description_path(target).name])


def onnx_bytes(bundle: Bundle, description: dict[str, Any]) -> bytes:
    """Return a model as the bytes of an ONNX file. The file contains its description."""
    from nucleus_unet.model.onnx_graph import build_onnx

    graph = build_onnx(bundle.config.network, bundle.weights, metadata=metadata(description))
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def _choose_precision(bundle: Bundle, file_format: Format, precision: ExportPrecision) -> Literal["int8", "float32"]:
    if precision not in get_args(ExportPrecision):
        raise SettingsError(f"precision: expected {', '.join(get_args(ExportPrecision))}, got {precision!r}")
    if precision == "int8" and file_format != "openvino":
        raise SettingsError(f"precision: int8 needs the format openvino, {file_format} is in float32")
    if precision == "int8" and bundle.quantisation is None:
        raise SettingsError(f"precision: the model {bundle.config.name!r} has no int8 form; use 'auto' or 'float32'")
    if precision == "auto":
        return "int8" if file_format == "openvino" and bundle.config.int8_is_default else "float32"
    return precision


def _check_packages(file_format: Format) -> None:
    if file_format == "openvino":
        from nucleus_unet.inference.devices import openvino_is_installed

        if not openvino_is_installed():
            raise SettingsError("format: openvino is not available for this platform; use 'onnx'")
        return
    require("onnx", f"the format {file_format} needs onnx", extra=file_format)
    if file_format == "bioimageio":
        for module in ("bioimageio.spec", "onnxruntime"):
            require(module, f"the format {file_format} needs {module}", extra=file_format)


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


def _description_path(target: Path) -> Path:
    """Return the path of the description of a model's file."""
    return target.with_name(target.name + ".json")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_replaceable(target: Path, names: Sequence[str]) -> None:
    """Raise `SettingsError` if a file that would be replaced is not the unchanged file of an earlier export."""
    description = _description_path(target)
    recorded: dict[str, str] = {}
    if description.exists():
        try:
            content = read_json(description)
        except (ValueError, OSError):
            content = None
        files = content.get("files") if isinstance(content, dict) and content.get("made_by") == MADE_BY else None
        if not isinstance(files, dict):
            raise _not_an_export(description)
        recorded = files
    for path in (target.with_name(name) for name in names):
        if path.exists() and (not path.is_file() or recorded.get(path.name) != _digest(path)):
            raise _not_an_export(path)


def _not_an_export(path: Path) -> SettingsError:
    return SettingsError(f"{path} exists and is not the unchanged file of an earlier export: choose another --out")


def _move_into_place(staged: Path, folder: Path, names: Sequence[str]) -> list[Path]:
    """Replace the files of an earlier export. The model's own file is the first of ``names``.

    The old model's file is deleted first, and the new one is moved last. So a model's file is always complete with its
    description, and an interrupted export can be repeated.
    """
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for name in reversed(names):
        (staged / name).replace(folder / name)
    return [folder / name for name in names]
