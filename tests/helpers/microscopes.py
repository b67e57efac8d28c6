"""Synthetic files of microscopes' formats, written after the formats' layouts. No microscope wrote any of them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

_CHUNK_MAGIC = 0x0ABECEDA
_CHUNK_MAP = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_FILE_MAP = b"ND2 FILEMAP SIGNATURE NAME 0001!"


def write_nd2(
    path: Path,
    frames: NDArray[Any],
    *,
    loops: Sequence[tuple[str, int]] = (),
    names: Sequence[str] = (),
    positions: Sequence[str] = (),
    pixel_size: float = 0.5,
    colours: bool = False,
    compressed: bool = False,
    absent: Sequence[int] = (),
) -> Path:
    """Write an ND2 file of version 3.

    ``frames`` is (frames, H, W, channels), and of a colour image in the order of blue, green and red. ``loops`` are
    letters of T, P and Z with their lengths, the slowest first. ``absent`` are frames that are left out.
    """
    count, height, width, components = frames.shape
    bits = frames.dtype.itemsize * 8
    attributes = {
        "uiWidth": width,
        "uiWidthBytes": width * components * frames.dtype.itemsize,
        "uiHeight": height,
        "uiComp": components,
        "uiBpcInMemory": bits,
        "uiBpcSignificant": bits,
        "uiSequenceCount": count,
        "eCompression": 0 if compressed else 2,
        "dCompressionParam": 0.0,
    }
    channels = 1 if colours else components
    planes = {
        f"a{number}": {
            "uiCompCount": 3 if colours else 1,
            "sDescription": names[number] if names else f"channel {number}",
            "uiColor": 0x00FF00,
            "uiSampleIndex": 0,
            "uiModalityMask": 0,
            "pFluorescentProbe": {"m_EmissionSpectrum": {"uiCount": 0}},
        }
        for number in range(channels)
    }
    picture = {
        "bCalibrated": pixel_size > 0,
        "dCalibration": pixel_size,
        "sPicturePlanes": {"uiCount": channels, "uiSampleCount": 1, "sPlaneNew": planes, "sSampleSetting": {}},
    }
    chunks = {
        b"ImageAttributesLV!": _variant({"SLxImageAttributes": attributes}),
        b"ImageMetadataSeqLV|0!": _variant({"SLxPictureMetadata": picture}),
    }
    if loops:
        chunks[b"ImageMetadataLV!"] = _variant({"SLxExperiment": _experiment(loops, positions)})
    for number, frame in enumerate(frames):
        if number not in absent:
            pixels = np.ascontiguousarray(frame).tobytes()
            chunks[b"ImageDataSeq|%d!" % number] = bytes(8) + (zlib.compress(pixels) if compressed else pixels)
    path.write_bytes(_nd2_file(chunks))
    return path


def _experiment(loops: Sequence[tuple[str, int]], positions: Sequence[str]) -> dict[str, Any]:
    (letter, count), *inner = loops
    parameters: dict[str, Any] = {"uiCount": count}
    if letter == "T":
        parameters |= {"dStart": 0.0, "dPeriod": 1000.0, "dDuration": 0.0}
    elif letter == "Z":
        parameters |= {"dZLow": 0.0, "dZHigh": float(count), "dZStep": 1.0, "dZHome": 0.0, "iType": 2}
    else:
        points = {
            f"i{number:010}": {"dPosX": 0.0, "dPosY": 0.0, "dPosName": positions[number] if positions else ""}
            for number in range(count)
        }
        parameters |= {"Points": points}
    experiment: dict[str, Any] = {"eType": {"T": 1, "P": 2, "Z": 4}[letter], "uLoopPars": parameters}
    if inner:
        experiment["ppNextLevelEx"] = {"i0000000000": _experiment(inner, positions)}
    return experiment


def _variant(values: Mapping[str, Any]) -> bytes:
    """Return values in the binary form of ND2's metadata: type, length of the name, name, value."""
    parts = []
    for name, value in values.items():
        named = (name + "\0").encode("utf-16-le")
        if isinstance(value, Mapping):
            content = _variant(value)
            header = struct.pack("<BB", 11, len(named) // 2) + named
            length = len(header) + 12 + len(content)
            parts.append(header + struct.pack("<IQ", len(value), length) + content + bytes(8 * len(value)))
            continue
        kind, data = _number_or_text(value)
        parts.append(struct.pack("<BB", kind, len(named) // 2) + named + data)
    return b"".join(parts)


def _number_or_text(value: bool | int | float | str) -> tuple[int, bytes]:
    """Return the type of a value in ND2's metadata, and its bytes."""
    if isinstance(value, bool):
        return 1, struct.pack("<B", value)
    if isinstance(value, int):
        return 3, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<d", value)
    return 8, (value + "\0").encode("utf-16-le")


def _nd2_file(chunks: Mapping[bytes, bytes]) -> bytes:
    signature = b"ND2 FILE SIGNATURE CHUNK NAME01!"
    content = struct.pack("<IIQ", _CHUNK_MAGIC, 32, 64) + signature + b"Ver3.0".ljust(64, b"\0")
    listed = b""
    for name, data in chunks.items():
        content += bytes(-len(content) % 4096)
        listed += name + struct.pack("<QQ", len(content), len(data))
        is_frame = name.startswith(b"ImageDataSeq")
        reserved = 4096 - 24 if is_frame else len(name) + 20  # pixels begin 4096 bytes after their chunk
        content += struct.pack("<IIQ", _CHUNK_MAGIC, reserved, len(data)) + name.ljust(reserved, b"\0") + data
    content += bytes(-len(content) % 4096)
    start = len(content)
    listed += _CHUNK_MAP + struct.pack("<Q", start)
    return content + struct.pack("<IIQ", _CHUNK_MAGIC, 32, len(listed)) + _FILE_MAP + listed


_LIF_AXES = {"X": 1, "Y": 2, "Z": 3, "T": 4, "M": 10}


def write_lif(path: Path, images: Mapping[str, tuple[str, NDArray[Any]]], *, names: Sequence[str] = ()) -> Path:
    """Write a LIF file of version 2.

    ``images`` are axes of T, Z, C, Y, X, M, S and the pixels, by name. S must be last; its samples are from red to
    blue. ``names`` are dyes of channels. A pixel is half a micrometre.
    """
    elements, blocks = [], []
    for number, (name, (axes, pixels)) in enumerate(images.items()):
        data = np.ascontiguousarray(pixels).tobytes()
        elements.append(_lif_image(name, f"MemBlock_{number}", axes, pixels, names))
        identifier = f"MemBlock_{number}".encode("utf-16-le")
        header = struct.pack("<IIBQBI", 0x70, 0, 0x2A, len(data), 0x2A, len(identifier) // 2)
        blocks.append(header + identifier + data)
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="synthetic"><Children>'
        f"{''.join(elements)}</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    header = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2)
    path.write_bytes(header + xml + b"".join(blocks))
    return path


def _lif_image(name: str, block: str, axes: str, pixels: NDArray[Any], names: Sequence[str]) -> str:
    contiguous = np.ascontiguousarray(pixels)
    strides = dict(zip(axes, contiguous.strides, strict=True))
    sizes = dict(zip(axes, contiguous.shape, strict=True))
    dimensions = "".join(
        f'<DimensionDescription DimID="{_LIF_AXES[axis]}" NumberOfElements="{sizes[axis]}" Origin="0" '
        f'Length="{(sizes[axis] - 1) * 0.5e-6}" Unit="m" BytesInc="{strides[axis]}" BitInc="0"/>'
        for axis in axes
        if axis in _LIF_AXES
    )
    many = next((axis for axis in axes if axis in "CS"), "")
    kind = "1" if pixels.dtype.kind == "f" else "0"
    channels = "".join(
        f'<ChannelDescription DataType="{kind}" ChannelTag="{number + 1 if many == "S" else 0}" '
        f'Resolution="{pixels.dtype.itemsize * 8}" NameOfMeasuredQuantity="" Min="0" Max="1" Unit="" LUTName="Green" '
        f'IsLUTInverted="0" BytesInc="{number * strides.get(many, 0)}" BitInc="0">'
        + (
            f"<ChannelProperty><Key>DyeName</Key><Value>{names[number]}</Value></ChannelProperty>"
            if number < len(names)
            else ""
        )
        + "</ChannelDescription>"
        for number in range(sizes.get(many, 1))
    )
    return (
        f"<Element Name={quoteattr(name)}><Data><Image><ImageDescription><Channels>{channels}</Channels>"
        f"<Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
        f'<Memory Size="{contiguous.nbytes}" MemoryBlockID="{block}"/><Children/></Element>'
    )
