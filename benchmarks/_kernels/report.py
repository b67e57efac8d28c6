"""What was measured, as a table for people and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from _machine import cpu, installed_version

from _kernels.contest import OURS, PEERS, installed
from _kernels.reasons import why


def surroundings(origin: str, *, quick: bool) -> dict[str, Any]:
    """Machine, versions and data that the figures belong to."""
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "load_average_at_start": os.getloadavg()[0],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: installed_version(name) for name in ("nucleus-unet", "numpy", *PEERS.values())},
        "missing_peers": [name for module, name in PEERS.items() if not installed(module)],
        "nuclei": origin,
        "quick": quick,
    }


def markdown(report: Mapping[str, Any]) -> str:
    """Every row, losses too; behind a time its quartiles."""
    about = report["surroundings"]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items() if number)
    lines = [
        f"CPU: {about['cpu']}, {about['cores']} cores; load {about['load_average_at_start']:.1f} at the start.",
        f"Python {about['python']}; {versions}.",
        f"Nuclei: {about['nuclei']}.",
    ]
    if about["load_average_at_start"] > 0.5:
        lines.append("The machine was busy with other work: times are too long, ratios uncertain.")
    if about["missing_peers"]:
        lines.append(f"Not installed, so not compared: {', '.join(about['missing_peers'])}.")
    # Each reason by its number.
    notes: dict[str, int] = {}
    lines += [
        "",
        "Milliseconds: median (quartiles); of work that takes less than three, each time is a series' mean. Ratio: the",
        "best peer's time over ours; above 1 ours is faster. Target: the ratio asked for, against the peers named.",
        "Where it is missed: what part of it is reached, and by number, below, why.",
        "",
        "| kernel | image | threads | ours | best peer | its time | ratio | target | met |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_line(row, notes) for row in report["rows"]),
        "",
        "Why targets are missed:",
        "",
        *(f"{number}. {reason}." for reason, number in notes.items()),
    ]
    lines += [
        f"\n{row['kernel']}, {row['case']}: left out {name}, which raised {message}."
        for row in report["rows"]
        for name, message in row["failed"].items()
    ]
    judged = [row for row in report["rows"] if row["met"] is not None]
    met = sum(row["met"] for row in judged)
    return "\n".join([*lines, "", f"{met} of {len(judged)} targets met.", ""])


def _line(row: Mapping[str, Any], notes: dict[str, int]) -> str:
    spread = row["spread_ms"]
    ours = _time(row["ours_ms"], spread[OURS])
    if not row["peers"]:
        return f"| {row['kernel']} | {row['case']} | {row['threads']} | {ours} | none | | | | |"
    best = min(row["peers"], key=row["peers"].__getitem__)
    named: str | Sequence[str] = row["target_against"]
    against = "" if named == "best" else f" against {', '.join(named)}: {row['ratio_to_target_peer']:.2f}"
    target = "" if row["target"] is None else f"{row['target']:g}{against}"
    met = {None: "", True: "yes", False: "**no**"}[row["met"]]
    if row["met"] is False:
        reason = why(row["kernel"], row["case"]) or "nobody has found out"
        number = notes.setdefault(reason, len(notes) + 1)
        met += f": {row['ratio_to_target_peer'] / row['target']:.2f} of it ({number})"
    return (
        f"| {row['kernel']} | {row['case']} | {row['threads']} | {ours} | {best} | "
        f"{_time(row['peers'][best], spread[best])} | {row['ratio_to_best_peer']:.2f} | {target} | {met} |"
    )


def _time(median: float, quartiles: Sequence[float]) -> str:
    return f"{median:.3g} ({quartiles[0]:.3g} to {quartiles[1]:.3g})"
