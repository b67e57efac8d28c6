"""Read damaged files of every format within limits of time and memory.

    python tests/attacks/damaged_files.py --files 500

Each must be read or be refused with a sentence: no other exception, no crash, no more than 10 seconds, no more than
1 GiB of memory, nothing written. The same seeds make the same files.
"""

from __future__ import annotations

import argparse
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]
SECONDS = 10
MEMORY = 2**30


def read_within_limits(files: list[Path], seconds: float = SECONDS) -> dict[Path, str]:
    """Return what happened to each file: ``read``, or ``refused:``, ``exception:``, ``hang:``, ``crash:`` and why."""
    results: dict[Path, str] = {}
    left = list(files)
    while left:
        results |= _read_until_fault(left, seconds)
        left = [file for file in left if file not in results]
    return results


def _read_until_fault(files: list[Path], seconds: float) -> dict[Path, str]:
    """Read files in a process of their own, up to one that ends it or that takes too long."""
    results: dict[Path, str] = {}
    command = [sys.executable, __file__, "--worker", *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as worker:
        lines: queue.Queue[str] = queue.Queue()
        assert worker.stdout is not None
        threading.Thread(target=_put_lines, args=(worker.stdout, lines), daemon=True).start()
        if lines.get(timeout=120).strip() != "ready":
            raise RuntimeError("the process that reads the files did not start")
        for file in files:
            try:
                line = lines.get(timeout=seconds)
            except queue.Empty:
                worker.kill()
                results[file] = f"hang: more than {seconds} seconds"
                break
            if not line:
                results[file] = f"crash: exit code {worker.wait()}"
                break
            results[file] = json.loads(line)
    return results


def _put_lines(stream: object, lines: queue.Queue[str]) -> None:
    for line in stream:  # type: ignore[attr-defined]
        lines.put(line)
    lines.put("")


def work(files: list[str]) -> None:
    """Read files, and write a line about each."""
    import logging
    import warnings

    from nucleus_unet.errors import NucleusError
    from nucleus_unet.io import czi, lif, nd2, npy, pictures, scanners, tiff, zarr  # noqa: F401

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for package in ("liffile", "nd2", "openslide", "zarr"):
        __import__(package)
    _limit_memory()
    print("ready", flush=True)
    for name in files:
        try:
            said = _read(name)
        except (NucleusError, OSError) as error:
            said = f"refused: {error}"
        except BaseException as error:
            said = f"exception: {type(error).__name__}: {error}"
        print(json.dumps(said), flush=True)


def _read(name: str) -> str:
    """Describe a file, and read the first plane of its first scenes."""
    from nucleus_unet.io.description import describe
    from nucleus_unet.io.source import open_image

    with open_image(name) as source:
        json.dumps(describe(source))
        for number in range(min(len(source.scenes), 3) or 1):
            scene = source.scene(number)
            sizes = scene.sizes
            several = "C" in sizes or sizes.get("Q", 1) > 1
            plane = source.plane(
                scene=number,
                time=0 if sizes.get("T", 1) > 1 else None,
                z=0 if sizes.get("Z", 1) > 1 else None,
                channel=0 if several else None,
            )
            source.read(plane)
    return "read"


def _limit_memory() -> None:
    """Limit what this process may take from now on, where the system has such limits."""
    if sys.platform != "linux":
        return
    import resource

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


def make_damaged_files(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write ``count`` damaged files, of every format in turn."""
    from helpers.damage import damage, write_sound_files

    sound = write_sound_files(folder / "sound")
    files = []
    for number in range(count):
        original = sound[number % len(sound)]
        path = folder / "damaged" / f"{number:05}-{original.name}"
        path.parent.mkdir(exist_ok=True)
        damage(original, path, seed + number)
        files.append(path)
    return files


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=500, help="number of damaged files")
    parser.add_argument("--seed", type=int, default=0, help="another number makes other files")
    parser.add_argument("--keep", type=Path, help="folder for the files; default: a temporary one")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        work(chosen.worker)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        files = make_damaged_files(chosen.keep or Path(temporary), chosen.files, chosen.seed)
        results = read_within_limits(files)
    counts = Counter(said.partition(":")[0] for said in results.values())
    for file, said in results.items():
        if not said.startswith(("read", "refused")):
            print(f"{file.name}: {said}")
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    return 0 if set(counts) <= {"read", "refused"} else 1


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    sys.exit(main())
