"""Measure engines side by side: how fast they run the embedded network on a processor, and how right it is then.

Run as ``python benchmarks/engines.py [--json OUT] [--data SET ...] [--earlier PYTHON] [--rounds N]``. In turns, each
time in a process of its own, run

- OpenVINO in int8, bfloat16 and float32, as the library does; int8 and float32 also without the instructions that
  earlier processors lack (``ONEDNN_MAX_CPU_ISA``);
- ONNX Runtime on the exported network (needs the ``onnx`` extra and ``onnxruntime``);
- ``predict`` of an earlier version of this library, if ``--earlier`` names an interpreter that has one.

The rate is that of `Segmenter.predict` on one large picture in memory, from pixels to labels, and that of the network
alone on one tile. How right: the figures of ``nucleus-unet evaluate`` on the sets of ``--data``; give images that the
model was not trained on.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _machine import cpu, installed_version

# This process imports nothing heavy: on Linux, the peak of memory of a process counts its parent's when it began.
ISAS = ("AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16")
PRECISIONS = ("int8", "bfloat16", "float32")
ONNX, EARLIER = "ONNX Runtime, float32", "earlier version"


def main() -> None:
    """Measure everybody and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for all figures")
    parser.add_argument("--data", type=Path, action="append", default=[], help="labelled set, as `evaluate` takes it")
    parser.add_argument("--size", type=int, default=4096, help="side of the picture (4096)")
    parser.add_argument("--rounds", type=int, default=3, help="how often everybody is timed (3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the network (one a core)")
    parser.add_argument("--earlier", type=Path, metavar="PYTHON", help="interpreter with an earlier version of this")
    options = parser.parse_args()
    rows = {name: {"runs": [], "scores": None} for name in _names(options)}
    for number in range(options.rounds):
        for name in rows:
            run = _measure(name, options)
            rows[name]["runs"].append(run)
            print(f"round {number + 1}, {name}: {run}", file=sys.stderr)
    if options.data:
        for name in rows:
            if name != ONNX:
                rows[name]["scores"] = _scores(name, options)
    distributions = ("nucleus-unet", "openvino", "onnxruntime", "torch", "numpy")
    results: dict[str, Any] = {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "load_average": os.getloadavg()[0],
        "platform": platform.platform(),
        "versions": {name: installed_version(name) for name in distributions},
        "side": options.size,
        "rows": rows,
    }
    print(markdown(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def _names(options: argparse.Namespace) -> list[str]:
    names = [f"OpenVINO, {precision}" for precision in PRECISIONS]
    if "avx512_bf16" not in Path("/proc/cpuinfo").read_text():
        names.remove("OpenVINO, bfloat16")
    names += [f"OpenVINO, {precision}, {isa}" for precision in ("int8", "float32") for isa in ISAS]
    names += [ONNX] if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx") else []
    return names + ([EARLIER] if options.earlier else [])


def _measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    engine, precision, _ = _parts(name)
    output = _child(name, options, "_engines.py", engine, precision, str(options.size))
    told: dict[str, Any] = json.loads(output.splitlines()[-1])
    return told


def _scores(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Have the command line of that version evaluate the sets: all versions have it."""
    _, precision, _ = _parts(name)
    sets = [word for path in options.data for word in ("--data", str(path.resolve()))]
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "nucleus_unet", "evaluate", *sets, "--device", "cpu", "--out", folder]
        _child(name, options, *command, *(["--precision", precision] if precision else []))
        overall = json.loads((Path(folder) / "report.json").read_text())["overall"]
    pooled = {f"ap{round(100 * threshold)}": overall["pooled_ap"][f"{threshold:.2f}"] for threshold in (0.5, 0.75, 0.9)}
    return {**pooled, "msa": overall["per_image_mean_ap"]}


def _child(name: str, options: argparse.Namespace, *arguments: str) -> str:
    _, _, isa = _parts(name)
    python = options.earlier if name == EARLIER else Path(sys.executable)
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)} | ({"ONEDNN_MAX_CPU_ISA": isa} if isa else {})
    command = [str(python.absolute()), *arguments]
    here = Path(__file__).resolve().parent
    return subprocess.run(command, cwd=here, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def _parts(name: str) -> list[str]:
    """Split the name of a row into engine, precision and instruction set."""
    return [*name.split(", "), "", ""][:3]


def markdown(results: dict[str, Any]) -> str:
    """Every engine in a row."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items() if number)
    lines = [
        f"CPU: {results['cpu']}, {results['threads']} threads; load {results['load_average']:.1f} at the end.",
        f"{versions}.",
        f"Picture: {results['side']} x {results['side']} pixels. Median (least to most) of the rounds, in turns.",
        "",
        "| engine | network alone, Mpixel/s | predict, Mpixel/s | peak memory, MB | digest of an output "
        "| AP50 | AP75 | AP90 | mSA |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in results["rows"].items():
        runs, scores = row["runs"], row["scores"]
        figures = [f"{scores[key]:.4f}" for key in ("ap50", "ap75", "ap90", "msa")] if scores else [""] * 4
        memory = max(run["memory_peak"] for run in runs) / 1e6
        rates = [_spread([run[key] for run in runs if run[key]]) for key in ("network", "predict")]
        lines.append(f"| {name} | {' | '.join(rates)} | {memory:.0f} | {runs[0]['digest']} | {' | '.join(figures)} |")
    return "\n".join([*lines, ""])


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})" if values else ""


if __name__ == "__main__":
    main()
