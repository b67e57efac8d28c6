"""The network that only answers: the same function as the one that was trained, and the same bits however it runs."""

import threading
import time
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from conftest import lively
from nucleus_unet import flow, lanes
from nucleus_unet.flow import WHOLE, Strips
from nucleus_unet.fusion import FoldedUpward, StripByStrip, fused
from nucleus_unet.inference.devices import default_tile
from nucleus_unet.inference.tiles import round_up
from nucleus_unet.lanes import GivenUpError, Lanes, lanes_on
from nucleus_unet.model.network import ConvNorm, NetworkConfig, Upward
from torch import Tensor

CPU = torch.device("cpu")
CONFIGS = [
    NetworkConfig(decoder=(16, 8, 8, 4)),
    NetworkConfig(form="plain", width=8, depth=2, stem_stride=2),
    NetworkConfig(form="plain", width=4, depth=3, stem_stride=1),
]


def answer(network: torch.nn.Module, image: Tensor, *, threads: int | None = None) -> Tensor:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with torch.inference_mode():
            return network(image)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_it_says_what_the_trained_network_says(config: NetworkConfig) -> None:
    network, image = lively(config), torch.rand(2, 3, 320, 96)
    expected = answer(network, image)
    assert expected.std() > 0.1
    torch.testing.assert_close(
        answer(fused(network, CPU), image), expected, rtol=1e-4, atol=1e-4 * float(expected.std())
    )


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("width", [32, 96, 352])
def test_no_bit_depends_on_the_strips_or_on_the_number_of_threads(config: NetworkConfig, width: int) -> None:
    network = fused(lively(config), CPU).network
    image = torch.rand(1, 3, 416, width)
    expected = answer(StripByStrip(network, pixels=416 * width), image, threads=2)
    for rows, threads in product((16, 48, 208), (1, 2, 3, 8)):
        strips = StripByStrip(network, pixels=rows * width)
        assert torch.equal(answer(strips, image, threads=threads), expected), (rows, threads)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_part_of_an_image_with_enough_around_it_is_the_part_of_the_whole(config: NetworkConfig) -> None:
    strips = fused(lively(config), CPU)
    image = torch.rand(1, 3, 400, 608)
    top, left, halo = 144, 208, round_up(strips.receptive_radius, 16)
    part = answer(strips, image[:, :, top - halo : top + 16 + halo, left - halo : left + 64 + halo])
    whole = answer(strips, image)
    assert torch.equal(part[:, :, halo:-halo, halo:-halo], whole[:, :, top : top + 16, left : left + 64])


def test_folding_saves_the_repetition_and_changes_nothing_but_rounding() -> None:
    torch.manual_seed(0)
    upward = Upward(5, 3, 4).eval()
    for module in upward.modules():
        if isinstance(module, ConvNorm):
            module.fuse()
    deep, skipped = torch.randn(2, 5, 7, 9), torch.randn(2, 3, 14, 18)
    with torch.inference_mode():
        expected, found = upward(deep, skipped, WHOLE), FoldedUpward(upward)(deep, skipped, WHOLE)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_features_that_come_at_different_times_are_given_together() -> None:
    strips, place = Strips(), torch.nn.Identity()
    slow, quick = torch.arange(8.0).reshape(1, 1, 8, 1), torch.arange(16.0).reshape(1, 1, 16, 1)
    given: list[tuple[list[float], list[float]]] = []
    for (a, b), (c, d) in (((0, 2), (0, 7)), ((2, 5), (7, 8)), ((5, 8), (8, 16))):
        one, other = strips.together(place, (slow[:, :, a:b], quick[:, :, c:d]), each=(1, 2))
        given.append((one.flatten().tolist(), other.flatten().tolist()))
    assert given == [([0, 1], [0, 1, 2, 3]), ([2, 3], [4, 5, 6, 7]), ([4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15])]


def test_calls_share_the_threads_and_leave_all_others_theirs() -> None:
    before = torch.get_num_threads()
    together, first_is_over = threading.Barrier(2), threading.Event()

    def share() -> int:
        together.wait(10)
        lanes.go_on()
        together.wait(10)
        return torch.get_num_threads()

    def share_and_stay() -> tuple[int, int]:
        shared = share()
        assert first_is_over.wait(10)
        lanes.go_on()
        return shared, torch.get_num_threads()

    with Lanes(CPU, 2, before + 8).pool() as pool:
        first, second = pool.submit(share), pool.submit(share_and_stay)
        first.result()
        for _ in range(1000):
            if len(pool._busy) == 1:
                break
            time.sleep(0.01)
        first_is_over.set()
        shared, alone = second.result()
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert first.result() + shared == alone == before + 8
    assert [torch.get_num_threads(), *later] == [before, before]


def test_a_lane_that_is_given_up_ends_between_two_strips() -> None:
    network = fused(lively(CONFIGS[0]), CPU)
    pool = Lanes(CPU, 1, 1).pool()

    def ask() -> Tensor:
        pool._stop.set()
        with torch.inference_mode():
            return network(torch.rand(1, 3, 320, 96))

    with pytest.raises(GivenUpError):
        pool.submit(ask).result()
    pool.give_up()
    assert answer(network, torch.rand(1, 3, 320, 96)).isfinite().all()


@pytest.mark.parametrize("total", [1, 2, 8, 11, 20])
def test_the_lanes_of_a_cpu_share_all_its_threads(total: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: total)
    found = lanes_on(CPU, "float32")
    assert (found.threads, found.count) == (total, min(total, 8))


def test_where_bits_may_differ_there_is_one_lane_with_the_threads_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "by_onednn", lambda _dtype: False)
    assert lanes_on(CPU, "float32") == Lanes(CPU, 1, None)


def test_without_onednn_it_is_the_same_function(monkeypatch: pytest.MonkeyPatch) -> None:
    network, image = fused(lively(CONFIGS[0]), CPU), torch.rand(1, 3, 320, 96)
    expected = answer(network, image)
    monkeypatch.setattr(flow, "by_onednn", lambda _dtype: False)
    torch.testing.assert_close(answer(network, image), expected, rtol=1e-4, atol=1e-4 * float(expected.std()))


@pytest.mark.parametrize(("memory", "side"), [(80 * 10**9, 2560), (8 * 10**9, 1824), (10**9, 640)])
def test_a_tile_on_a_gpu_suits_its_memory(memory: int, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = SimpleNamespace(total_memory=memory)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: facts)
    assert default_tile(torch.device("cuda")) == side
