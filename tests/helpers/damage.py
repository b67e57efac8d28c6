"""Small files of every format, and ways to damage them, the same for the same seed."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import zarr
from PIL import Image
from pylibCZIrw import czi

from helpers.microscopes import write_lif, write_nd2

_RANDOM = np.random.default_rng(11)
GREY = _RANDOM.integers(0, 60_000, (96, 80)).astype(np.uint16)
RGB = _RANDOM.integers(0, 255, (96, 80, 3)).astype(np.uint8)
STACK = _RANDOM.integers(0, 255, (2, 3, 2, 48, 40)).astype(np.uint8)  # T, Z, C, Y, X
_HUGE = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x10000, 0)


def write_sound_files(folder: Path) -> list[Path]:
    """Write a small file, or folder, of each format and of each kind of TIFF."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "a.png": imagecodecs.png_encode(GREY),
        "colour.png": imagecodecs.png_encode(RGB),
        "a.apng": imagecodecs.apng_encode(np.stack([RGB, RGB])),
        "a.jpg": imagecodecs.jpeg8_encode(RGB),
        "a.jp2": imagecodecs.jpeg2k_encode(RGB),
        "a.webp": imagecodecs.webp_encode(RGB),
        "a.bmp": imagecodecs.bmp_encode(RGB),
    }
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    frames = [Image.fromarray(each) for each in (RGB, 255 - RGB)]
    frames[0].save(folder / "a.gif", save_all=True, append_images=frames[1:])
    np.save(folder / "a.npy", GREY)
    _write_tiffs(folder)
    _write_microscopes(folder)
    for store, path in (("a.zarr", folder / "a.zarr"), ("a.zip", folder / "zipped")):
        group = zarr.open_group(path, mode="w", zarr_format=3 if store == "a.zarr" else 2)
        group.create_array("0", shape=STACK.shape, dtype=STACK.dtype, chunks=(1, 1, 1, 24, 40))[...] = STACK
        axes = [{"name": name, "type": "space"} for name in "tzcyx"]
        scale = [{"type": "scale", "scale": [1.0] * 5}]
        multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}], "version": "0.4"}
        metadata = {"multiscales": [multiscale]}
        group.attrs.update({"ome": metadata} if store == "a.zarr" else metadata)
    shutil.make_archive(str(folder / "a"), "zip", folder / "zipped")
    shutil.rmtree(folder / "zipped")
    return sorted(folder.iterdir())


def _write_tiffs(folder: Path) -> None:
    tifffile.imwrite(folder / "mapped.tif", GREY)
    tifffile.imwrite(folder / "tiled.tif", RGB, tile=(32, 32), compression="zlib", photometric="rgb")
    tifffile.imwrite(folder / "lzw.tif", GREY, rowsperstrip=20, compression="lzw", predictor=True)
    tifffile.imwrite(folder / "jpeg.tif", RGB, tile=(32, 32), compression="jpeg", photometric="rgb")
    tifffile.imwrite(folder / "big.tif", GREY, bigtiff=True, rowsperstrip=20, compression="zlib")
    tifffile.imwrite(folder / "palette.tif", RGB[..., 0], photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    tifffile.imwrite(folder / "imagej.tif", STACK, imagej=True, metadata={"axes": "TZCYX"})
    tifffile.imwrite(folder / "a.ome.tif", STACK, ome=True, metadata={"axes": "TZCYX"}, tile=(16, 16))


def _write_microscopes(folder: Path) -> None:
    frames = STACK.reshape(6, 2, 48, 40).transpose(0, 2, 3, 1)
    loops = (("T", 2), ("Z", 3))
    write_nd2(folder / "a.nd2", frames, loops=loops, names=("DAPI", "GFP"))
    write_nd2(folder / "compressed.nd2", frames, loops=loops, compressed=True)
    write_lif(folder / "a.lif", {"one": ("TZCYX", STACK), "two": ("YXS", RGB), "three": ("MYX", STACK[0, :, 0])})
    for name, compression in (("a.czi", "uncompressed:"), ("compressed.czi", "zstd1:PreProcess=HiLoByteUnpack")):
        with czi.create_czi(str(folder / name), exist_ok=True, compression_options=compression) as file:
            for time, z, channel in np.ndindex(STACK.shape[:3]):
                plane = {"T": time, "Z": z, "C": channel}
                file.write(STACK[time, z, channel][..., None].astype(np.uint16), plane=plane, scene=time)
            file.write_metadata("synthetic", scale_x=0.5e-6, scale_y=0.5e-6)


def damage(sound: Path, damaged: Path, seed: int) -> None:
    """Write a damaged copy of a file, or of a folder in which one file is damaged."""
    chosen = random.Random(seed)
    if sound.is_file():
        damaged.write_bytes(_damage(sound.read_bytes(), chosen))
        return
    shutil.copytree(sound, damaged)
    members = sorted(path for path in damaged.rglob("*") if path.is_file())
    metadata = [path for path in members if path.suffix == ".json"]
    member = chosen.choice(metadata if chosen.random() < 0.7 else members)
    member.write_bytes(_damage(member.read_bytes(), chosen))


def _damage(content: bytes, chosen: random.Random) -> bytes:
    for _ in range(chosen.choice((1, 1, 1, 2, 4))):
        content = chosen.choice(_WAYS)(content, chosen)
    return content


def _cut_off(content: bytes, chosen: random.Random) -> bytes:
    return content[: chosen.randrange(len(content) + 1)]


def _flip(content: bytes, chosen: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chosen.choice((1, 4, 30))):
        if changed:
            changed[chosen.randrange(len(changed))] ^= 1 << chosen.randrange(8)
    return bytes(changed)


def _fill_block(content: bytes, chosen: random.Random) -> bytes:
    start = chosen.randrange(len(content) + 1)
    length = min(chosen.choice((4, 64, 4096)), len(content) - start)
    return content[:start] + chosen.choice((b"\0", b"\xff", b"9")) * length + content[start + length :]


def _huge_number(content: bytes, chosen: random.Random) -> bytes:
    """Replace four or eight bytes of the beginning or the end, where sizes and positions are."""
    span = min(len(content), chosen.choice((64, 512, 4096)))
    start = chosen.randrange(max(span - 8, 1)) & ~1
    if chosen.random() < 0.3:
        start = max(len(content) - span, 0) + start
    number = chosen.choice(_HUGE).to_bytes(4, chosen.choice(("little", "big")))
    number = number * chosen.choice((1, 2))
    return content[:start] + number + content[start + len(number) :]


def _longer_number(content: bytes, chosen: random.Random) -> bytes:
    """Replace a number in text, such as XML or JSON, by one of as many digits, or by a longer one."""
    numbers = list(re.finditer(rb"(?<=[\":, \[>\0])[0-9]+", content))
    if not numbers:
        return _flip(content, chosen)
    number = chosen.choice(numbers)
    new = chosen.choice((b"9" * len(number.group()), b"0" * len(number.group()), b"-1", b"99999999999"))
    return content[: number.start()] + new + content[number.end() :]


def _repeat(content: bytes, chosen: random.Random) -> bytes:
    start = chosen.randrange(len(content) + 1)
    return content[:start] + content[start : start + chosen.choice((2, 100, 5000))] + content[start:]


_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut_off,
    _flip,
    _fill_block,
    _huge_number,
    _huge_number,
    _longer_number,
    _repeat,
)
