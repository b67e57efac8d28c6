"""Mask PNGs, one nucleus each, merged to one label image."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import MaskError
from nucleus_unet.masks import MergeReport, Overlap, merge_mask_pngs
from numpy.typing import NDArray
from PIL import Image

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]

masks = hnp.arrays(bool, (5, 7), elements=st.sampled_from([False, False, False, True]))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_rows(samples: NDArray[np.int64], depth: int) -> bytes:
    """Rows of (H, W, C) samples as PNG packs them, each led by filter type 0."""
    if not samples.size:
        return b""
    bits = (samples.reshape(len(samples), -1, 1) >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(len(samples), -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


def png(
    samples: NDArray[np.int64],
    colour: int,
    depth: int,
    *,
    interlaced: bool = False,
    extra: bytes = b"",
    size: tuple[int, int] | None = None,
) -> bytes:
    """A PNG of (H, W, C) samples, by the specification; `size` is a lie to tell in the header."""
    height, width = size or samples.shape[:2]
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    parts = (samples[top::down, left::right] for top, left, down, right in passes)
    pixels = b"".join(packed_rows(part, depth) for part in parts)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def grey_png(mask: NDArray[np.bool_]) -> bytes:
    data: bytes = imagecodecs.png_encode(mask.astype(np.uint8) * 255)
    return data


def mask_of(*pixels: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros((2, 3), bool)
    for pixel in pixels:
        mask[pixel] = True
    return mask


nucleus = np.random.default_rng(3).random((11, 13)) < 0.4


class TestColourTypes:
    @pytest.mark.parametrize("interlaced", [False, True])
    @pytest.mark.parametrize(
        ("colour", "depth"),
        [(GREY, depth) for depth in (1, 2, 4, 8, 16)]
        + [(colour, depth) for colour in (RGB, GREY_ALPHA, RGBA) for depth in (8, 16)],
    )
    def test_the_least_grey_or_colour_is_nucleus_and_alpha_is_ignored(self, colour, depth, interlaced):
        samples = np.zeros((*nucleus.shape, CHANNELS[colour]), np.int64)
        last_colour = {GREY: 0, GREY_ALPHA: 0, RGB: 2, RGBA: 2}[colour]
        samples[nucleus, last_colour] = 1
        if colour in (GREY_ALPHA, RGBA):
            samples[~nucleus, -1] = 2**depth - 1
        labels, report = merge_mask_pngs([png(samples, colour, depth, interlaced=interlaced)])
        np.testing.assert_array_equal(labels, nucleus)
        assert report == MergeReport((), (), ())

    @pytest.mark.parametrize("interlaced", [False, True])
    @pytest.mark.parametrize("depth", [1, 2, 4, 8])
    def test_a_palette_counts_by_its_colours_not_by_its_indices(self, depth, interlaced):
        palette = chunk(b"PLTE", bytes([0, 0, 1, 0, 0, 0]))
        samples = np.where(nucleus, 0, 1)[..., np.newaxis]
        labels, _ = merge_mask_pngs([png(samples, PALETTE, depth, interlaced=interlaced, extra=palette)])
        np.testing.assert_array_equal(labels, nucleus)

    @pytest.mark.parametrize("transparent", [0, 1])
    def test_a_transparent_grey_is_still_that_grey(self, transparent):
        samples = nucleus[..., np.newaxis].astype(np.int64)
        file = png(samples, GREY, 8, extra=chunk(b"tRNS", struct.pack(">H", transparent)))
        labels, _ = merge_mask_pngs([file])
        np.testing.assert_array_equal(labels, nucleus)

    def test_the_png_writer_of_these_tests_agrees_with_pillow(self):
        samples = nucleus[..., np.newaxis].astype(np.int64)
        for depth in 1, 8:
            file = png(samples * (2**depth - 1), GREY, depth, interlaced=True)
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file))) > 0, nucleus)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
    def test_masks_that_pillow_wrote_are_read(self, mode):
        grey = Image.fromarray(nucleus.astype(np.uint8) * 255)
        memory = io.BytesIO()
        grey.convert(mode).save(memory, "png")
        labels, _ = merge_mask_pngs([memory.getvalue()])
        np.testing.assert_array_equal(labels, nucleus)


class TestMerging:
    @given(st.lists(masks, max_size=6))
    def test_a_pixel_has_the_label_of_the_first_mask_that_claims_it(self, masks):
        labels, report = merge_mask_pngs([grey_png(mask) for mask in masks], (5, 7))
        first = np.zeros((5, 7), np.uint32)
        for label, mask in reversed(list(enumerate(masks, start=1))):
            first[mask] = label
        np.testing.assert_array_equal(labels, first)
        assert labels.dtype == np.uint32
        assert report.lost_pixels == sum(mask.sum() for mask in masks) - np.count_nonzero(labels)
        assert report.empty == tuple(place for place, mask in enumerate(masks) if not mask.any())

    def test_overlaps_are_reported_by_pair_with_their_pixels(self):
        files = [
            grey_png(mask_of((0, 0), (0, 1))),
            grey_png(mask_of((0, 1), (0, 2), (1, 2))),
            grey_png(mask_of((0, 0), (0, 1), (1, 2), (1, 0))),
        ]
        labels, report = merge_mask_pngs(files)
        np.testing.assert_array_equal(labels, [[1, 1, 2], [3, 0, 2]])
        assert report.overlaps == (Overlap(0, 1, 1), Overlap(0, 2, 2), Overlap(1, 2, 1))
        assert report.lost_pixels == 4

    def test_empty_and_hidden_masks_are_reported_and_keep_their_labels_free(self):
        files = [grey_png(mask) for mask in (mask_of(), mask_of((0, 0)), mask_of((0, 0)), mask_of((1, 1)))]
        labels, report = merge_mask_pngs(files)
        assert set(np.unique(labels)) == {0, 2, 4}
        assert report == MergeReport((Overlap(1, 2, 1),), empty=(0,), hidden=(2,))

    @pytest.mark.parametrize("threads", [1, 2, 3])
    def test_the_number_of_threads_changes_nothing(self, threads):
        random = np.random.default_rng(0)
        files = [grey_png(random.random((30, 40)) < 0.1) for _ in range(150)]
        labels, report = merge_mask_pngs(files)
        again, same_report = merge_mask_pngs(files, threads=threads)
        np.testing.assert_array_equal(labels, again)
        assert report == same_report

    def test_files_may_come_one_by_one(self):
        labels, _ = merge_mask_pngs(grey_png(mask) for mask in [mask_of((0, 0)), mask_of((1, 1))])
        np.testing.assert_array_equal(labels, [[1, 0, 0], [0, 2, 0]])

    @pytest.mark.parametrize("shape", [(2, 3), (0, 5), (0, 0)])
    def test_no_file_gives_background_of_the_shape(self, shape):
        labels, report = merge_mask_pngs([], shape)
        assert labels.shape == shape
        assert not labels.any()
        assert report == MergeReport((), (), ())


class TestRefusals:
    good = grey_png(mask_of((0, 0)))

    def test_no_file_and_no_shape(self):
        with pytest.raises(MaskError, match="without any mask the shape of the image must be given"):
            merge_mask_pngs([])

    def test_a_file_of_another_shape_is_named_with_both_shapes(self):
        other = grey_png(np.zeros((3, 2), bool))
        message = r"mask 1: expected 2 x 3 pixels \(rows x columns\), the PNG has 3 x 2"
        with pytest.raises(MaskError, match=message):
            merge_mask_pngs([self.good, other])
        with pytest.raises(MaskError, match="mask 0: expected 4 x 4 pixels"):
            merge_mask_pngs([self.good], (4, 4))

    @pytest.mark.parametrize("file", [b"", b"no png", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(50)])
    def test_a_file_that_is_no_png_is_named(self, file):
        with pytest.raises(MaskError, match="mask 1: not a readable PNG: "):
            merge_mask_pngs([self.good, file])
        with pytest.raises(MaskError, match="mask 0: not a readable PNG: "):
            merge_mask_pngs([file])

    @pytest.mark.parametrize("length", [10, 30, 45, -30, -12, -4, -1])
    def test_a_file_that_was_cut_is_named(self, length):
        with pytest.raises(MaskError, match="mask 1: not a readable PNG: "):
            merge_mask_pngs([self.good, self.good[:length]])

    @pytest.mark.parametrize(("place", "cause"), [(-1, "CRC error"), (-20, "Corrupt deflate stream")])
    def test_a_file_with_a_changed_bit_is_named(self, place, cause):
        damaged = bytearray(self.good)
        damaged[place] ^= 1
        with pytest.raises(MaskError, match=f"mask 1: not a readable PNG: {cause}"):
            merge_mask_pngs([self.good, damaged])

    def test_a_palette_image_without_a_palette_is_named(self):
        with pytest.raises(MaskError, match="mask 0: not a readable PNG: Missing palette"):
            merge_mask_pngs([png(np.zeros((2, 2, 1), np.int64), PALETTE, 8)])

    def test_an_animation_whose_first_frame_is_smaller_than_the_image_is_named(self):
        frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 2, 1, 0, 0, 1, 1, 0, 0))
        file = png(
            np.ones((1, 2, 1), np.int64),
            GREY,
            8,
            size=(2, 3),
            extra=chunk(b"acTL", bytes([0, 0, 0, 1] * 2)) + frame,
        )
        with pytest.raises(MaskError, match="mask 0: not a readable PNG: Sub frame is out-of-bounds"):
            merge_mask_pngs([file])

    @pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (2**15, 2**14)])
    def test_a_header_that_claims_a_huge_image_is_not_believed(self, size):
        bomb = png(np.zeros((2, 3, 1), np.int64), GREY, 8, size=size)
        with pytest.raises(MaskError, match=f"mask 0: the PNG claims {size[0]} x {size[1]} pixels"):
            merge_mask_pngs([bomb])
        with pytest.raises(MaskError, match="mask 1: expected 2 x 3 pixels"):
            merge_mask_pngs([self.good, bomb])

    @pytest.mark.parametrize("file", ["masks/1.png", None, np.zeros((2, 3), np.uint8)])
    def test_what_is_no_bytes_is_named(self, file):
        with pytest.raises(MaskError, match="mask 1: expected the bytes of a PNG file, got"):
            merge_mask_pngs([self.good, file])

    def test_one_file_in_place_of_a_list(self):
        with pytest.raises(MaskError, match="expected a list of masks, got a single bytes"):
            merge_mask_pngs(self.good)

    @given(st.integers(0, len(good) - 1), st.integers(0, 255))
    def test_a_changed_byte_is_an_error_or_changes_nothing(self, place, byte):
        changed = self.good[:place] + bytes([byte]) + self.good[place + 1 :]
        try:
            labels, _ = merge_mask_pngs([changed], (2, 3))
        except MaskError:
            return
        np.testing.assert_array_equal(labels, mask_of((0, 0)))
