"""Kill the slide command at random moments of every phase, and see that the end is that of an undisturbed run.

Run as ``python benchmarks/slide_kills.py [--size PIXELS] [--pictures N] [--kills N] [--json OUT] [--markdown OUT]``. It

1. writes a pyramid of 40,000 x 40,000 pixels, real pictures far apart in the middle of empty ground, tile by tile;
2. runs ``nucleus-unet slide`` on it undisturbed, and notes the peak of its memory;
3. runs it again and kills it with SIGKILL, at least once while it plans, predicts tiles, groups blocks, numbers, and
   moves results into place; lets it end;
4. compares both folders byte for byte, and the labels of every picture with those of the picture alone.

The exit status is 0 only if nothing differs, every phase was hit, and 3 GB of memory were enough. Needs the
``benchmark`` group, and a POSIX system.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _machine import cpu, installed_version
from _slides import kills_report
from _slides.sparse import SparseSlide
from _slides.watched import PHASES, SUMMARY, Watched

# Of the files of a finished run; a lock has no content.
_NOT_COMPARED = {"lock"}
_MEMORY_LIMIT = 3 * 10**9
# Phases of which the next run keeps what is done.
_KEPT = ("tiles", "blocks")
_HERE = Path(__file__).resolve().parent


def main() -> None:
    """Run, kill, compare, and say what came out."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        results = _experiment(options, Path(name))
    results["passed"] = _passed(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    report = kills_report.markdown(results)
    print(report)
    if options.markdown:
        options.markdown.write_text(report)
    sys.exit(0 if results["passed"] else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for all figures")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="file for the report, which is printed anyway")
    parser.add_argument("--size", type=int, default=40_000, help="side of the slide in pixels (40000)")
    parser.add_argument("--pictures", type=int, default=100, help="how many lie on it (100)")
    parser.add_argument("--kills", type=int, default=10, help=f"at least {len(PHASES)}, one a phase (10)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills (0)")
    parser.add_argument("--model", type=Path, help="bundle, in place of the embedded one")
    parser.add_argument("--folder", type=Path, help="for the slide and the runs, in place of the temporary folder")
    parser.add_argument("--slide-options", default="", help='for the command, such as "--tile 1024 --workers 2"')
    options = parser.parse_args()
    if options.kills < len(PHASES):
        parser.error(f"--kills: expected at least {len(PHASES)}, one a phase, got {options.kills}")
    if options.size < 1536:
        parser.error(f"--size: expected at least 1536, for one picture and its ground, got {options.size}")
    return options


def _passed(results: dict[str, Any]) -> bool:
    alone = results["against_predict"]
    failed = results["missed_phases"] or results["different_files"] or alone["wrong"]
    memory = max(results["peak_memory_undisturbed"], results["peak_memory_killed"])
    return alone["nuclei"] > 0 and not failed and memory <= _MEMORY_LIMIT


def _experiment(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    slide, path, log = SparseSlide(options.size, options.pictures), folder / "slide.tif", folder / "log"
    begun = time.monotonic()
    slide.write(path)
    _say(f"slide of {options.size} x {options.size} pixels, {len(slide.places)} pictures: {_since(begun)}")

    def start(out: Path, all_blocks: int | None = None) -> Watched:
        command = [sys.executable, "-m", "nucleus_unet", "slide", str(path), "--out", str(out)]
        model = ["--model", str(options.model)] if options.model else []
        return Watched([*command, *model, *options.slide_options.split()], out, log, all_blocks)

    undisturbed, killed = folder / "undisturbed", folder / "killed"
    first = start(undisturbed)
    durations = _durations(first, log)
    _say(f"undisturbed: {_since(first.begun)}")
    runs, kills = _kill(lambda: start(killed, first.blocks), _targets(options), durations, log)
    drawn = [str(options.size), str(options.pictures)]
    verify = [sys.executable, "-m", "_slides.verify", *drawn, str(killed)]
    model = [str(options.model.resolve())] if options.model else []
    against = subprocess.run([*verify, *model], cwd=_HERE, check=True, stdout=subprocess.PIPE, text=True).stdout
    hit = {kill["phase"] for kill in kills}
    return {
        "command": _command(options),
        "cpu": cpu(),
        "versions": {name: installed_version(name) for name in ("nucleus-unet", "openvino", "tifffile")},
        "side": options.size,
        "levels": slide.levels,
        "slide_bytes": path.stat().st_size,
        "phase_seconds": durations,
        "peak_memory_undisturbed": first.peak_memory,
        "peak_memory_killed": max(run.peak_memory for run in runs),
        "kills": kills,
        "missed_phases": [phase for phase in PHASES if phase not in hit],
        "different_files": _different(undisturbed, killed),
        "against_predict": json.loads(against.splitlines()[-1]),
    }


def _command(options: argparse.Namespace) -> str:
    """Say how to do the same again, wherever files lie."""
    numbers = [f"--{name} {getattr(options, name)}" for name in ("size", "pictures", "kills", "seed")]
    given = [f"--slide-options={shlex.quote(options.slide_options)}"] if options.slide_options else []
    return " ".join(["python benchmarks/slide_kills.py", *numbers, *given])


def _targets(options: argparse.Namespace) -> list[tuple[str, float]]:
    """Choose the phases to kill in, in their order, and which share of the phase's length to wait."""
    chance = random.Random(options.seed)
    more = chance.choices(PHASES[:-1], k=options.kills - len(PHASES))
    phases = sorted([*PHASES, *more], key=PHASES.index)
    # A run that goes on has less to do in a phase than the undisturbed one had: with every kill, where tiles are kept.
    shares = {phase: 0.5 / phases.count(phase) if phase in _KEPT else 0.5 for phase in PHASES}
    return [(phase, chance.uniform(0, shares[phase])) for phase in phases]


def _durations(run: Watched, log: Path) -> dict[str, float]:
    """Let a run end, and tell how many seconds of the processor it spent in each phase."""
    begun: dict[str, float] = {}
    status = run.finish(lambda phase: begun.setdefault(phase, run.seconds()))
    _check(status, log)
    begun["numbering"] = run.blocks_there
    moments = [begun.get(phase) for phase in PHASES]
    end = run.seconds()
    durations = {}
    for phase, moment in reversed(list(zip(PHASES, moments, strict=True))):
        durations[phase] = 0.0 if moment is None else end - moment
        end = end if moment is None else moment
    return {phase: durations[phase] for phase in PHASES}


def _kill(
    start: Callable[[], Watched], targets: list[tuple[str, float]], durations: dict[str, float], log: Path
) -> tuple[list[Watched], list[dict[str, Any]]]:
    """Start and kill, again and again, then let the last run end."""
    runs, kills = [], []
    for target, share in targets:
        run = start()
        runs.append(run)
        died_in = run.kill(target, share * durations[target])
        _say(f"killed in {died_in}, meant for {target}: {_since(run.begun)}")
        if died_in is None:
            break
        kills.append({"phase": died_in, "meant_for": target, "seconds": run.seconds()})
    run = start()
    runs.append(run)
    _check(run.finish(), log)
    return runs, kills


def _check(status: int, log: Path) -> None:
    if status:
        sys.exit(f"the slide command failed with status {status}:\n{log.read_text()}")


def _different(one: Path, other: Path) -> list[str]:
    """Name the files that only one of two folders has, or that differ in any byte."""
    names = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - _NOT_COMPARED
        for folder in (one, other)
    ]
    assert SUMMARY in names[0]  # or nothing would have been compared
    common = sorted(names[0] & names[1])
    _, unequal, failed = filecmp.cmpfiles(one, other, common, shallow=False)
    return sorted(names[0] ^ names[1]) + unequal + failed


def _since(moment: float) -> str:
    return f"{time.monotonic() - moment:.1f} s"


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
