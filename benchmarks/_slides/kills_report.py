"""What came out of the kills, as a page for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any


def markdown(results: Mapping[str, Any]) -> str:
    """Slide, memory, kills by phase, and what differs."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    alone = results["against_predict"]
    wrong = [f"row {row}, column {column}" for row, column in alone["wrong"]]
    undisturbed, killed = (results[f"peak_memory_{run}"] / 1e9 for run in ("undisturbed", "killed"))
    died = Counter(kill["phase"] for kill in results["kills"])
    phases = ", ".join(f"{number} in {phase}" for phase, number in died.items())
    lines = [
        f"`{results['command']}`",
        "",
        f"CPU: {results['cpu']}. {versions}.",
        "",
        f"- Slide: {results['side']:,} x {results['side']:,} pixels in {results['levels']} levels, with "
        f"{alone['pictures']} real pictures, {alone['nuclei']:,} nuclei.",
        f"- Memory: {undisturbed:.2f} GB at the peak of the undisturbed run, {killed:.2f} GB at that of those killed.",
        f"- Killed {len(results['kills'])} times: {phases}.",
        f"- Phases that no kill hit: {_list(results['missed_phases'])}.",
        f"- Files that differ from those of the undisturbed run: {_list(results['different_files'])}.",
        f"- Pictures whose labels are not those of `predict` on the picture alone: {_list(wrong)}.",
        "",
        "**Passed.**" if results["passed"] else "**Failed.**",
    ]
    return "\n".join([*lines, ""])


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"
