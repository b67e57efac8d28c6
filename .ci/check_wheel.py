"""Install the built wheel as a stranger would, with no Rust in reach, and do with it what the README says.

Run as ``python .ci/check_wheel.py DIST [--python PYTHON]``, with auditwheel and twine beside this Python. DIST holds
one sdist and the wheel of this platform.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "examples" / "dsb2018" / "images"
NAME = "nucleus-unet"

GLIBC = "2_17"
"""The oldest that Rust's own libraries run on. manylinux2014 is another name for it."""

MOST_BYTES = 500_000_000
"""On disk, of all that is installed."""

MOST_BYTES_OF_SDIST = 5_000_000
IN_SDIST = {"PKG-INFO", "Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "pyproject.toml", "python", "rust"}


def expect(held: bool, what: str) -> None:
    """Stop with a message unless a condition held."""
    if not held:
        sys.exit(f"error: {what}")


def check_files(wheel: Path, sdist: Path) -> None:
    """Check the metadata of both files, what the wheel asks of the system, and what the sdist holds."""
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], check=True)
    expect("-cp311-abi3-" in wheel.name, f"{wheel.name} is not a wheel for Python 3.11 and all later ones")
    if sys.platform == "linux":
        command = [sys.executable, "-m", "auditwheel", "show", wheel]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        tags = re.findall(r'following\s+platform\s+tag:\s+"(\w+)"', shown)
        print(f"auditwheel: {wheel.name} is consistent with {tags}")
        expect(len(tags) == 1 and tags[0].startswith(f"manylinux_{GLIBC}_"), f"not for glibc {GLIBC}:\n{shown}")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    surplus = {member.name.split("/")[1] for member in members} - IN_SDIST
    expect(not surplus, f"{sdist.name} holds {sorted(surplus)}")
    built = [member.name for member in members if member.name.endswith((".so", ".pyd", ".pyc"))]
    expect(not built, f"{sdist.name} holds built files: {built}")
    size = sdist.stat().st_size
    expect(size <= MOST_BYTES_OF_SDIST, f"{sdist.name} has {size} bytes")
    for path in (wheel, sdist):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")


def environment_without_rust(scripts: Path) -> dict[str, str]:
    """Return the variables of this process, with a new environment's programs on the path and Rust's tools off it."""
    tools = ("cargo", "rustc")
    elsewhere = os.environ["PATH"].split(os.pathsep)
    folders = [str(scripts), *(each for each in elsewhere if not any(shutil.which(tool, path=each) for tool in tools))]
    # A path to other packages would hide what the wheel lacks.
    hidden = ("CARGO", "RUST", "PYTHON", "VIRTUAL_ENV")
    variables = {name: value for name, value in os.environ.items() if not name.upper().startswith(hidden)}
    variables.update(PATH=os.pathsep.join(folders), PYTHONUTF8="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    for tool in tools:
        expect(shutil.which(tool, path=variables["PATH"]) is None, f"{tool} is still on the path")
    return variables


def readme(language: str) -> str:
    """Return the first block of the README in a language."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(blocks[0])


def use(wheel: Path, folder: Path, python: str) -> Path:
    """Follow the README from its first line in a new environment; return that environment's Python."""
    subprocess.run([python, "-m", "venv", folder / "environment"], check=True)
    scripts = folder / "environment" / ("Scripts" if sys.platform == "win32" else "bin")
    variables = environment_without_rust(scripts)
    # The README's line names no file, so pip is told where this version of the package is.
    constraints = folder / "constraints.txt"
    tested = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    constraints.write_text(f"{tested}\n{NAME} @ {wheel.resolve().as_uri()}\n", encoding="utf-8")
    variables.update(PIP_CONSTRAINT=str(constraints), PIP_ONLY_BINARY=":all:", PIP_QUIET="1")
    shutil.copytree(PICTURES, folder / "plates")

    lines = [shlex.split(line.removeprefix("$ "), comments=True) for line in readme("console").splitlines()]
    expect(lines[0] == ["pip", "install", NAME], f"the README starts with {lines[0]}")
    for program, *arguments in lines:
        print("$", program, *arguments, flush=True)
        path = shutil.which(program, path=str(scripts))
        expect(path is not None, f"{program} is not in the environment")
        subprocess.run([str(path), *arguments], cwd=folder, env=variables, check=True)
    for picture in PICTURES.iterdir():
        for suffix in (".tif", ".geojson", ".png"):
            expect((folder / "results" / f"{picture.stem}{suffix}").is_file(), f"no {picture.stem}{suffix}")

    # Its plot needs an extra, as it says.
    code = "\n".join(line for line in readme("python").splitlines() if not line.startswith("nuclei.plot"))
    tiff = "import sys, imagecodecs, tifffile; tifffile.imwrite('cells.tif', imagecodecs.imread(sys.argv[1]))"
    path = scripts / "python"
    subprocess.run([path, "-c", tiff, PICTURES / "fluorescence_small.png"], cwd=folder, env=variables, check=True)
    subprocess.run([path, "-c", code], cwd=folder, env=variables, check=True)
    expect((folder / "cells.geojson").is_file(), "the Python example left no cells.geojson")
    return path


def check_installed(python: Path) -> None:
    """Check what came with the package, and how large all of it is."""
    command = [python, "-m", "pip", "list", "--format", "freeze"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    print("installed:", *names)
    expect(not any(name.startswith("torch==") for name in names), "torch was installed, which the core does without")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    folder = Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"{folder.name}: {size / 1e6:.0f} MB of at most {MOST_BYTES / 1e6:.0f}")
    expect(size <= MOST_BYTES, "too large")


def main() -> None:
    """Check the files in a folder, then use them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=Path)
    parser.add_argument("--python", default=sys.executable, help="of the new environment")
    arguments = parser.parse_args()
    wheels, sdists = sorted(arguments.dist.glob("*.whl")), sorted(arguments.dist.glob("*.tar.gz"))
    expect(len(wheels) == len(sdists) == 1, f"not one wheel and one sdist in {arguments.dist}: {wheels + sdists}")
    check_files(wheels[0], sdists[0])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        python = use(wheels[0], Path(name), arguments.python)
        check_installed(python)
        if sys.platform != "win32":  # benchmarks count memory as only POSIX systems do
            # Printed, not judged: machines that run checks are too uneven for a limit in seconds.
            timing = [sys.executable, ROOT / "benchmarks" / "start.py", "--python", python, "--runs", "3"]
            subprocess.run(timing, check=True)


if __name__ == "__main__":
    main()
