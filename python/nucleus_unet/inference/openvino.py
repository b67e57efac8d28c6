"""The network on CPUs, by OpenVINO."""

from __future__ import annotations

import os
import platform
import threading
from functools import lru_cache
from typing import Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.devices import processor_threads
from nucleus_unet.inference.engine import PRECISIONS, Identity, Precision
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.model.graph import receptive_radius, stride
from nucleus_unet.model.openvino_graph import build_graph

# Streams beyond which memory grows and the rate does not.
_MOST_STREAMS = 4
# Sides of tiles, by how much memory the widest features of one take: 0.7 to 0.9 GB each.
_TILES: dict[Precision, int] = {"int8": 2048, "bfloat16": 1664, "float32": 1280}
# What OpenVINO does in single precision beside the layers in bytes gives the same bits on every processor; its own
# choice would be bfloat16 where the processor has it.
_HINTS: dict[Precision, str] = {"int8": "f32", "bfloat16": "bf16", "float32": "f32"}


class OpenVinoEngine:
    """A model on the CPU; see `nucleus_unet.inference.engine.Engine`.

    Parameters
    ----------
    bundle
        The model.
    precision
        See `nucleus_unet.inference.engine.open_engine`.
    streams
        How many tiles are computed at once, each by an equal share of the threads.

    Raises
    ------
    SettingsError
        If the bundle or the processor lacks the precision.
    """

    def __init__(self, bundle: Bundle, precision: Precision | Literal["auto"] = "auto", *, streams: int = 1) -> None:
        self._bundle = bundle
        self.streams = streams
        chosen = _choose_precision(bundle, precision)
        self.identity = Identity(
            engine=f"openvino {openvino.__version__.partition('-')[0]}",
            device="cpu",
            precision=chosen,
            hardware=_hardware(chosen),
            threads=None if _is_exact() else processor_threads(),
            exact=_is_exact(),
        )
        config = bundle.config.network
        self.stride, self.receptive_radius = stride(config), receptive_radius(config)
        # Several tiles are in memory at once where there are several streams.
        self.default_tile = _TILES[chosen] if streams == 1 else _TILES[chosen] * 3 // 4
        graph = build_graph(config, bundle.weights, bundle.quantisation if chosen == "int8" else None)
        self._compiled = core().compile_model(
            graph,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": _HINTS[chosen],
                "INFERENCE_NUM_THREADS": max(streams, processor_threads()),
                "NUM_STREAMS": streams,
                "ENABLE_CPU_PINNING": False,
                # It would keep what it made for every size of image, hundreds of megabytes for a few hundred sizes.
                "CPU_RUNTIME_CACHE_CAPACITY": 0,
            },
        )
        self._requests = threading.local()
        self._running, self._counting = 0, threading.Lock()

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `nucleus_unet.inference.engine.Predictor`."""
        with self._counting:
            self._running += 1
        try:
            request = getattr(self._requests, "own", None)
            if request is None:
                request = self._requests.own = self._compiled.create_infer_request()
            # In a call of its own each: the graph is for one image.
            outputs = [request.infer({0: image[None]}, share_inputs=True)[0] for image in images]
        except RuntimeError as error:
            if "alloc" not in str(error):
                raise
            height, width = images.shape[1:3]
            raise MemoryError(f"a tile of {height} x {width} is too large: lower tile=") from error
        finally:
            with self._counting:
                self._running -= 1
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def parallel(self) -> OpenVinoEngine:
        """See `nucleus_unet.inference.engine.Engine`."""
        streams = min(_MOST_STREAMS, processor_threads())
        return OpenVinoEngine(self._bundle, self.identity.precision, streams=streams) if streams > 1 else self

    def release(self) -> None:
        """See `nucleus_unet.inference.engine.Engine`."""
        with self._counting:  # whoever calls `run` meanwhile waits; memory in use cannot be given back
            if not self._running:
                self._requests = threading.local()
                self._compiled.release_memory()


@lru_cache(maxsize=1)
def core() -> openvino.Core:
    """Return OpenVINO's entry point, which is made once a process."""
    return openvino.Core()


if hasattr(os, "register_at_fork"):
    # Threads of models that were closed wait in it for the next one. In a forked child they would not be there, and the
    # next model would wait for them for ever.
    os.register_at_fork(before=core.cache_clear)


def _choose_precision(bundle: Bundle, precision: Precision | Literal["auto"]) -> Precision:
    computes_bfloat16 = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "auto":
        if bundle.config.int8_is_default and _is_exact():
            return "int8"
        return "bfloat16" if computes_bfloat16 else "float32"
    if precision not in PRECISIONS:
        raise SettingsError(f"precision: expected 'auto', 'int8', 'bfloat16' or 'float32', got {precision!r}")
    if precision == "int8" and bundle.quantisation is None:
        raise SettingsError(
            f"precision: the model {bundle.config.name!r} has no int8 form; take 'auto', 'bfloat16' or 'float32'"
        )
    if precision == "bfloat16" and not computes_bfloat16:
        raise SettingsError("precision: this processor does not compute in bfloat16; take 'auto', 'int8' or 'float32'")
    return precision


def _hardware(precision: Precision) -> str:
    """Return what of the processor decides on bits: its family, and for bfloat16 its name."""
    family = "x86-64" if _is_exact() else platform.machine().lower()
    if precision == "bfloat16" or not _is_exact():
        return f"{family}, {core().get_property('CPU', 'FULL_DEVICE_NAME').strip()}"
    return family


def _is_exact() -> bool:
    """Whether bits depend on neither tile, threads nor processor: seen on x86-64 with AVX2 and more."""
    return platform.machine().lower() in ("x86_64", "amd64") and _core.has_avx2()
