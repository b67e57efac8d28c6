"""Run the network on CPUs with OpenVINO."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
import openvino
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.devices import processor_threads
from nucleus_unet.inference.engine import Identity
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.model.config import OUTPUT_CHANNELS
from nucleus_unet.model.graph import receptive_radius, stride
from nucleus_unet.model.openvino_graph import build_graph
from nucleus_unet.model.precision import PRECISIONS, Precision

# More streams need more memory and are not faster.
_MAX_STREAMS = 4
# Default sides of tiles. They are chosen by the memory that the widest features of a tile need.
_DEFAULT_TILES: dict[Precision, int] = {"int8": 2048, "bfloat16": 1664, "float32": 1280}
# Kernels of each type that OpenVINO keeps: enough for about seven image sizes, as the search for the scale needs.
_CACHED_KERNELS = 500
# The float32 operations beside the int8 layers give the same bits on every processor. OpenVINO's default would be
# bfloat16 on processors that support it.
_PRECISION_HINTS: dict[Precision, str] = {"int8": "f32", "bfloat16": "bf16", "float32": "f32"}


class OpenVinoEngine:
    """A model on the CPU; see `nucleus_unet.inference.engine.Engine`.

    Parameters
    ----------
    bundle
        The model.
    precision
        See `nucleus_unet.inference.factory.open_engine`.
    streams
        Number of images that are computed at once. Each uses an equal share of the threads.
    few_sizes
        Whether to compile the network for each height and width, instead of once for all. It halves the memory, and
        takes 0.2 to 0.3 s for each size.

    Raises
    ------
    SettingsError
        If the bundle or the processor does not support the precision.
    """

    def __init__(
        self,
        bundle: Bundle,
        precision: Precision | Literal["auto"] = "auto",
        *,
        streams: int = 1,
        few_sizes: bool = False,
    ) -> None:
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
        self.default_tile = _DEFAULT_TILES[chosen]
        self._compiled: dict[tuple[int, int] | None, _Compiled] = {}
        self._compiling, self._few_sizes = threading.Lock(), few_sizes
        if not few_sizes:
            self._compiled[None] = self._compile(None)

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `nucleus_unet.inference.engine.Predictor`."""
        height, width = images.shape[1:3]
        try:
            compiled = self._for_size((height, width))
            if len(images) == 1:
                return compiled.run(images)
            # One call per image, because the graph has a batch size of 1. Each call overwrites the output of the last.
            return np.concatenate([compiled.run(image[None]).copy() for image in images])
        except RuntimeError as error:
            if "alloc" not in str(error):
                raise
            raise MemoryError(f"a tile of {height} x {width} is too large: lower tile=") from error

    def _for_size(self, size: tuple[int, int]) -> _Compiled:
        key = size if self._few_sizes else None
        with self._compiling:
            if key not in self._compiled:
                self._compiled[key] = self._compile(size)
            return self._compiled[key]

    def _compile(self, size: tuple[int, int] | None) -> _Compiled:
        precision = self.identity.precision
        quantisation = self._bundle.quantisation if precision == "int8" else None
        graph = build_graph(self._bundle.config.network, self._bundle.weights, quantisation)
        if size is not None:
            graph.reshape([1, *size, 3])
        settings = {
            "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[precision],
            "INFERENCE_NUM_THREADS": max(self.streams, processor_threads()),
            "NUM_STREAMS": self.streams,
            "ENABLE_CPU_PINNING": False,
            # Kernels of a new image size take milliseconds to make. OpenVINO's default for the number that it keeps
            # is 5000, which takes hundreds of megabytes for a few hundred image sizes.
            "CPU_RUNTIME_CACHE_CAPACITY": _CACHED_KERNELS,
            # For images of one size OpenVINO would compile fused element-wise layers, which round differently.
            "SNIPPETS_MODE": "DISABLE",
        }
        return _Compiled(core().compile_model(graph, "CPU", settings), size)

    def parallel(self) -> OpenVinoEngine:
        """See `nucleus_unet.inference.engine.Engine`."""
        streams = min(_MAX_STREAMS, processor_threads())
        return OpenVinoEngine(self._bundle, self.identity.precision, streams=streams, few_sizes=True)

    def prepare(self, size: tuple[int, int]) -> None:
        """See `nucleus_unet.inference.engine.Engine`."""
        self._for_size(size)

    def release(self) -> None:
        """See `nucleus_unet.inference.engine.Engine`."""
        for compiled in self._compiled.values():
            compiled.release()


class _Compiled:
    """A compiled network with one inference request per thread.

    Parameters
    ----------
    model
        The compiled network.
    size
        Height and width of images. None: any size.
    """

    def __init__(self, model: openvino.CompiledModel, size: tuple[int, int] | None) -> None:
        self._model, self._size = model, size
        self._requests = threading.local()
        self._running, self._lock = 0, threading.Lock()

    def run(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the output (1, 4, H, W) for an image (1, H, W, 3)."""
        with self._lock:
            self._running += 1
        try:
            request = getattr(self._requests, "own", None)
            if request is None:
                request = self._requests.own = self._request()
            return request(image)
        finally:
            with self._lock:
                self._running -= 1

    def _request(self) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        request = self._model.create_infer_request()
        if self._size is None:

            def run_any_size(image: NDArray[np.float32]) -> NDArray[np.float32]:
                # OpenVINO writes into this array. It would return a copy of an array of its own.
                output = np.empty((1, OUTPUT_CHANNELS, *image.shape[1:3]), np.float32)
                request.set_output_tensor(openvino.Tensor(output, shared_memory=True))
                request.infer({0: image}, share_inputs=True, share_outputs=True)
                return output

            return run_any_size
        # Reusing the arrays is faster. The system clears the pages of every new array.
        pixels, output = (np.empty(port.shape, np.float32) for port in (self._model.input(), self._model.output()))
        request.set_input_tensor(openvino.Tensor(pixels, shared_memory=True))
        request.set_output_tensor(openvino.Tensor(output, shared_memory=True))

        def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
            np.copyto(pixels, image)
            request.infer(share_outputs=True)
            return output

        return run

    def release(self) -> None:
        """Release memory, unless a call is in progress."""
        with self._lock:  # calls of `run` wait, because memory in use cannot be released
            if not self._running:
                self._requests = threading.local()
                self._model.release_memory()


@lru_cache(maxsize=1)
def core() -> openvino.Core:
    """Return OpenVINO's core object, which is created once per process."""
    return openvino.Core()


if hasattr(os, "register_at_fork"):
    # Threads of closed models wait in the core object for the next model. A forked child would not have these threads,
    # and its next model would wait for them forever.
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
            f"precision: the model {bundle.config.name!r} has no int8 form; choose 'auto', 'bfloat16' or 'float32'"
        )
    if precision == "bfloat16" and not computes_bfloat16:
        raise SettingsError(
            "precision: this processor does not compute in bfloat16; choose 'auto', 'int8' or 'float32'"
        )
    return precision


def _hardware(precision: Precision) -> str:
    """Return the properties of the processor that change the output: its family, and for bfloat16 its name."""
    family = "x86-64" if _is_exact() else platform.machine().lower()
    if precision == "bfloat16" or not _is_exact():
        return f"{family}, {core().get_property('CPU', 'FULL_DEVICE_NAME').strip()}"
    return family


def _is_exact() -> bool:
    """Whether the output is independent of tile, threads and processor. It was tested on x86-64 with AVX2 and later."""
    return platform.machine().lower() in ("x86_64", "amd64") and _core.has_avx2()
