"""What was measured of slides, as a table for people."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

_MEGA = 1e6


def markdown(report: Mapping[str, Any]) -> str:
    """Every contender in a row: rate, memory, seams."""
    about = report["surroundings"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items() if number)
    lines = [
        f"CPU: {about['cpu']}, {about['threads']} threads; network on {about['device']}; load "
        f"{about['load_average_at_start']:.1f} at the start.",
        f"Python {about['python']}; {versions}.",
        f"Picture: {about['side']} x {about['side']} pixels, tiles of {about['tile']}; seams on {about['seam_side']} x "
        f"{about['seam_side']} pixels, tiles of {about['seam_tile']}. Nuclei: {about['nuclei']}.",
    ]
    if about["load_average_at_start"] > 0.5:
        lines.append("The machine was busy with other work: rates are too low and uncertain.")
    lines += [f"Left out: {name} ({reason})." for name, reason in report["left_out"].items()]
    lines += [
        "",
        "Rate: median (least to most) of so many rounds, in turns; and its share of the network's alone in the same",
        "round. Memory: at the peak, and of that before the work began. Seams: nuclei that differ, in any pixel, from",
        "what the same tool finds in the whole picture at once, of how many; and nuclei of the whole not found as",
        "they are. StarDist runs another network, trained just long enough to find nuclei: its rate says little of",
        "how it goes through a picture.",
        "",
        "| | Mpixel/s | rounds | of the network alone | peak memory, MB | before | differ at seams | of | not found |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            _line(name, row, report["rows"]["network alone"]["runs"], about["side"])
            for name, row in report["rows"].items()
        ),
    ]
    return "\n".join([*lines, ""])


def _line(name: str, row: Mapping[str, Any], bound: Sequence[Mapping[str, float]], side: int) -> str:
    runs: Sequence[Mapping[str, float]] = row["runs"]
    rates = [side * side / run["seconds"] / _MEGA for run in runs]
    shares = [100 * alone["seconds"] / run["seconds"] for run, alone in zip(runs, bound, strict=False)]
    memory = [max(run[when] for run in runs) / _MEGA for when in ("memory_peak", "memory_before")]
    seams = row["seams"]
    found = f"{seams['differ']} | {seams['nuclei']} | {seams['lost']}" if seams else "| |"
    return (
        f"| {name} | {_spread(rates)} | {len(runs)} | {_spread(shares)} % | "
        f"{memory[0]:.0f} | {memory[1]:.0f} | {found} |"
    )


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"
