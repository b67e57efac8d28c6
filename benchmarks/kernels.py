"""Time every kernel against its peers: ours and theirs in turns, on the same data, after comparing what they return.

Run as ``python benchmarks/kernels.py [--json OUT] [--markdown OUT] [--quick] [--only KERNEL] [--image IMAGE]
[--seconds NUMBER]``. The peers come with ``pip install --constraint constraints.txt --group benchmark``; those that are
missing are left out and named.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from _kernels import files, grouping, outlines, regions, report, run_lengths, tables, tidying
from _kernels.contest import Contest, run
from _kernels.scenes import Scenes

FAMILIES = (run_lengths, files, regions, grouping, tables, outlines, tidying)

THREADS = (1, 2)


def main() -> None:
    """Run all rows and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for all figures")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="file for the table, which is printed anyway")
    parser.add_argument("--quick", action="store_true", help="without 8192 x 8192, and with fewer rounds")
    parser.add_argument("--only", default="", metavar="TEXT", help="only kernels whose name holds this")
    parser.add_argument("--image", default="", metavar="TEXT", help="only images whose name holds this")
    parser.add_argument("--seconds", type=float, metavar="NUMBER", help="of a row's rounds, about (15; --quick: 2)")
    options = parser.parse_args()
    scenes = Scenes(quick=options.quick)
    # The load is read before our own work adds to it.
    results = {"surroundings": report.surroundings(scenes.origin, quick=options.quick), "rows": []}
    rounds, seconds = ((2, 11), 2.0) if options.quick else ((3, 41), 15.0)
    seconds = options.seconds or seconds
    for contest in _contests(scenes):
        if options.only in contest.kernel and options.image in contest.case:
            row = run(contest, rounds=rounds, seconds=seconds)
            results["rows"].append(row)
            print(
                f"{row['kernel']}, {row['case']}, threads {row['threads']}: {row['ratio_to_best_peer']}",
                file=sys.stderr,
            )
    table = report.markdown(results)
    print(table)
    if options.markdown:
        options.markdown.write_text(table)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def _contests(scenes: Scenes) -> Iterator[Contest]:
    for family in FAMILIES:
        for threads in THREADS:
            yield from family.contests(scenes, threads)


if __name__ == "__main__":
    main()
