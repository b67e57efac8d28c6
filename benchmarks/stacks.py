"""Segment time series, stacks, scenes and a plate with one command each, and check the results with tifffile.

The pixels are those of an example image with real nuclei, which move with time and blur with depth. The files are
written in the formats of microscopes: a TIFF hyperstack (TZCYX), CZI by ZEISS's own library, LIF and ND2 after the
formats' layouts (synthetic: no microscope wrote them), and a plate as OME-Zarr. Each command runs in a process of its
own. Every label image is opened with tifffile and compared with that of ``Segmenter.predict`` for the plane alone.

    python benchmarks/stacks.py --markdown stacks.md
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from _machine import cpu, installed_version, peak_memory
from nucleus_unet import Segmenter
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.microscopes import write_lif, write_nd2  # noqa: E402 # after the path of the tests' helpers
from helpers.stacks import write_plate  # noqa: E402

PICTURE = ROOT / "examples" / "dsb2018" / "images" / "fluorescence_crowded.png"
SIDE = 512


class Task(NamedTuple):
    """A file, the command for it, and what its planes show.

    Attributes
    ----------
    name, path
        Of the file.
    options
        Of ``nucleus-unet predict``.
    planes
        By the result file that holds them: the pixels of the channel that is segmented, (N, H, W).
    """

    name: str
    path: Path
    options: list[str]
    planes: dict[str, NDArray[Any]]


def draw(times: int, depths: int, *, seed: int = 0) -> NDArray[np.uint16]:
    """Return a hyperstack TZCYX of two channels: moving nuclei, and noise."""
    image = imagecodecs.imread(PICTURE)
    nuclei = np.pad(image, [(0, SIDE - side) for side in image.shape], mode="symmetric").astype(np.float64) * 100
    rng = np.random.default_rng(seed)
    stack = np.empty((times, depths, 2, SIDE, SIDE), np.uint16)
    for moment in range(times):
        moved = np.roll(nuclei, (3 * moment + 40 * seed, 5 * moment), (0, 1))
        for depth in range(depths):
            stack[moment, depth, 0] = gaussian_filter(moved, 1.5 * abs(depth - depths // 2))
            stack[moment, depth, 1] = rng.integers(0, 2000, (SIDE, SIDE))
    return stack


def hyperstack(folder: Path, times: int = 20) -> Task:
    """Write a hyperstack as Fiji does."""
    stack, path = draw(times, 3), folder / f"hyperstack-{times}.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TZCYX", "unit": "um"}, resolution=(2, 2))
    options = ["--time", "all", "--z", "max", "--channel", "0"]
    shown = {"labels.ome.tif": stack[:, :, 0].max(axis=1)}
    return Task(f"TIFF hyperstack TZCYX, {times} x 3 x 2", path, options, shown)


def czi_scenes(folder: Path) -> Task:
    """Write a CZI file of two scenes."""
    from pylibCZIrw import czi

    path, shown = folder / "scenes.czi", {}
    with czi.create_czi(str(path)) as file:
        for scene in range(2):
            stack = draw(2, 3, seed=scene)
            for moment, depth, channel in np.ndindex(stack.shape[:3]):
                plane = {"T": moment, "Z": depth, "C": channel}
                location = (scene * 2 * SIDE, 0)
                file.write(stack[moment, depth, channel][..., None], plane=plane, scene=scene, location=location)
            shown[f"{scene}-scene_{scene}/labels.ome.tif"] = stack[:, :, 0].max(axis=1)
        file.write_metadata("scenes", channel_names={0: "DAPI", 1: "GFP"}, scale_x=0.5e-6, scale_y=0.5e-6)
    options = ["--scene", "all", "--time", "all", "--z", "max", "--channel", "DAPI"]
    return Task("CZI, 2 scenes of 2 x 3 x 2", path, options, shown)


def lif_scenes(folder: Path) -> Task:
    """Write a LIF file of two images."""
    stacks = [draw(2, 3, seed=scene) for scene in range(2)]
    images = {f"series {number}": ("TZCYX", stack) for number, stack in enumerate(stacks)}
    path = write_lif(folder / "scenes.lif", images, names=["DAPI", "GFP"])
    shown = {
        f"{number}-series_{number}/labels.ome.tif": stack[:, :, 0].max(axis=1) for number, stack in enumerate(stacks)
    }
    options = ["--scene", "all", "--time", "all", "--z", "max", "--channel", "DAPI"]
    return Task("LIF, 2 images of 2 x 3 x 2", path, options, shown)


def nd2_series(folder: Path) -> Task:
    """Write an ND2 file of ten times and three depths."""
    stack = draw(10, 3)
    frames = np.moveaxis(stack.reshape(30, 2, SIDE, SIDE), 1, -1)
    path = write_nd2(folder / "series.nd2", frames, loops=[("T", 10), ("Z", 3)], names=["DAPI", "GFP"])
    options = ["--time", "all", "--z", "max", "--channel", "DAPI"]
    return Task("ND2, 10 x 3 x 2", path, options, {"labels.ome.tif": stack[:, :, 0].max(axis=1)})


def plate(folder: Path) -> Task:
    """Write a plate of six wells with two fields each."""
    fields = draw(12, 1)[:, 0, 0]
    wells = {f"{row}/{column}": [] for row in "AB" for column in ("1", "2", "3")}
    for number, well in enumerate(wells):
        wells[well] = list(fields[2 * number : 2 * number + 2])
    path = write_plate(folder / "plate.zarr", wells)
    shown = {
        f"{well}/{number}.ome.tif": pixels[None] for well, each in wells.items() for number, pixels in enumerate(each)
    }
    return Task("OME-Zarr plate, 6 wells of 2 fields", path, ["--scene", "all"], shown)


def run(task: Task, out: Path) -> tuple[float, int]:
    """Run the command. Return its seconds and the most memory that it had at once."""
    command = [sys.executable, "-m", "nucleus_unet", "predict", str(task.path), "--out", str(out), *task.options]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return time.perf_counter() - start, peak_memory(usage)


def count_checked(task: Task, results: Path, segmenter: Segmenter) -> tuple[int, int]:
    """Compare each label image with that of the plane alone. Return the numbers of planes and nuclei."""
    planes = nuclei = 0
    for name, pixels in task.planes.items():
        with tifffile.TiffFile(results / name) as file:
            axes, labels = file.series[0].axes, file.asarray()
        labels = labels.reshape(-1, *labels.shape[-2:])
        if axes[-2:] != "YX" or len(labels) != len(pixels):
            raise SystemExit(f"{task.name}: {name} has axes {axes} and {len(labels)} planes")
        for found, plane in zip(labels, pixels, strict=True):
            alone = segmenter.predict(plane)
            if not np.array_equal(found, alone.labels):
                raise SystemExit(f"{task.name}: {name} differs from the labels of a plane alone")
            planes, nuclei = planes + 1, nuclei + len(alone)
    return planes, nuclei


def measure(folder: Path) -> Iterator[tuple[str, str, int, int, float, int]]:
    """Yield name, command, planes, nuclei, seconds and bytes of each task."""
    segmenter = Segmenter.from_pretrained()
    tasks = [hyperstack(folder), hyperstack(folder, 40), czi_scenes(folder), lif_scenes(folder), nd2_series(folder)]
    for task in [*tasks, plate(folder)]:
        out = folder / f"out-{task.path.name}"
        seconds, memory = run(task, out)
        planes, nuclei = count_checked(task, out / task.path.name.partition(".")[0], segmenter)
        yield task.name, " ".join(task.options), planes, nuclei, seconds, memory


def main() -> None:
    """Run all commands, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    lines = [
        f"{cpu()}; tifffile {installed_version('tifffile')}. Planes of {SIDE} x {SIDE} pixels, 16 bit, two channels. "
        "Each label image is equal to that of `predict` for its plane alone. Memory includes mapped pages "
        "of the file.",
        "",
        "| file | options | planes | nuclei | seconds | MB at most |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as folder:
        for name, options, planes, nuclei, seconds, memory in measure(Path(folder)):
            lines.append(f"| {name} | `{options}` | {planes} | {nuclei:,} | {seconds:.1f} | {memory / 1e6:.0f} |")
            print(lines[-1], flush=True)
    if arguments.markdown:
        arguments.markdown.write_text(
            "# Stacks, scenes and plates\n\n`python benchmarks/stacks.py --markdown stacks.md`\n\n"
            + "\n".join(lines)
            + "\n"
        )


if __name__ == "__main__":
    main()
