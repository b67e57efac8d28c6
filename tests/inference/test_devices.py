"""Which device is taken, and what is said where one lies idle."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from nucleus_unet.errors import MissingExtraError, SettingsError
from nucleus_unet.inference import devices
from nucleus_unet.inference.devices import choose_device, processor_threads


def install_torch(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool = False) -> None:
    """Put a torch in place that sees such devices."""
    torch = SimpleNamespace(
        cuda=SimpleNamespace(is_available=lambda: cuda),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(devices, "find_spec", lambda _name: torch)


def test_without_signs_of_a_gpu_torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_may_have_gpu", lambda: False)
    monkeypatch.setitem(sys.modules, "torch", None)  # an import would fail
    assert choose_device("auto") == choose_device("cpu") == "cpu"


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_takes_the_gpu_that_torch_sees(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str
) -> None:
    monkeypatch.setattr(devices, "_may_have_gpu", lambda: True)
    install_torch(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device("auto") == expected


def test_a_gpu_that_lies_idle_for_lack_of_torch_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "_may_have_gpu", lambda: True)
    monkeypatch.setattr(devices, "find_spec", lambda _name: None)
    with caplog.at_level(logging.WARNING):
        assert choose_device("auto") == "cpu"
    assert [record.getMessage() for record in caplog.records] == [
        "a GPU is not used, as torch is not installed: pip install 'nucleus-unet[torch]'"
    ]


def test_a_gpu_that_is_asked_for_without_torch_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"device 'cuda' needs torch: pip install 'nucleus-unet\[torch\]'"):
        choose_device("cuda")


@pytest.mark.parametrize("device", ["gpu", "", "xpu", 0, None, "cuda0"])
def test_what_is_no_device_is_refused(device: Any) -> None:
    with pytest.raises(SettingsError, match="device: expected 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps', got"):
        choose_device(device)


@pytest.mark.parametrize("device", ["cuda:99", "cuda:x"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(SettingsError, match=f"device: this machine has no '{device}' that torch can use"):
        choose_device(device)


@pytest.mark.parametrize(("asked", "expected"), [("3", 3), ("0", None), ("many", None), ("", None)])
def test_the_environment_may_say_how_many_threads_compute(
    monkeypatch: pytest.MonkeyPatch, asked: str, expected: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    found = processor_threads()
    assert found == expected if expected else found >= 1
