"""Tiles: what is kept of them partitions the image, with enough context around."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.tiles import lay_tiles, round_up


@given(
    stride=st.sampled_from([1, 2, 8, 16]),
    cells=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    radius=st.integers(0, 50),
    core=st.integers(1, 10),
    rest=st.integers(0, 15),
)
def test_kept_parts_partition_the_image_and_have_their_context(
    stride: int, cells: tuple[int, int], radius: int, core: int, rest: int
) -> None:
    height, width = cells[0] * stride, cells[1] * stride
    tile = 2 * round_up(radius, stride) + core * stride + min(rest, stride - 1)
    tiles = lay_tiles(height, width, tile=tile, radius=radius, stride=stride)
    times_kept = np.zeros((height, width), int)
    for rows, columns in tiles:
        times_kept[rows.core_start : rows.core_stop, columns.core_start : columns.core_stop] += 1
        for span, size in (rows, height), (columns, width):
            assert 0 <= span.start <= span.core_start < span.core_stop <= span.stop <= size
            assert span.start == 0 or span.core_start - span.start >= radius
            assert span.stop == size or span.stop - span.core_stop >= radius
            assert span.start % stride == span.stop % stride == 0
            assert span.stop - span.start <= tile
    assert (times_kept == 1).all()
    assert len({(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in tiles}) == 1
    assert tiles == sorted(tiles)


def test_tiles_are_no_larger_than_so_many_have_to_be() -> None:
    tiles = lay_tiles(4096, 4096, tile=1856, radius=117, stride=16)
    assert len(tiles) == 9
    assert {(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in tiles} == {(1536, 1536)}


def test_as_many_tiles_are_laid_as_were_counted_and_more_than_can_be_listed_are_refused() -> None:
    assert len(lay_tiles(16, 16 * 2**20, tile=48, radius=16, stride=16)) == 2**20 - 2
    with pytest.raises(SettingsError, match=r"tile: .* at most 1,048,576 parts, got 48, which makes 1,048,577"):
        lay_tiles(16, 16 * (2**20 + 3), tile=48, radius=16, stride=16)


def test_an_image_no_larger_than_a_tile_is_one_tile() -> None:
    ((rows, columns),) = lay_tiles(32, 48, tile=48, radius=100, stride=16)
    assert rows == (0, 32, 0, 32)
    assert columns == (0, 48, 0, 48)


@pytest.mark.parametrize("tile", [-5, 0, 15, 16, 79])
def test_a_tile_that_leaves_no_core_is_refused_with_the_least_one(tile: int) -> None:
    with pytest.raises(SettingsError, match=rf"expected at least 80 pixels .*30 pixels.*, got {tile}"):
        lay_tiles(160, 160, tile=tile, radius=30, stride=16)
    assert lay_tiles(160, 160, tile=80, radius=30, stride=16)
