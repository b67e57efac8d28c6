"""Label images and tables of many planes on disk."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import tifffile
from nucleus_unet import _core
from nucleus_unet.exports.label_stack import write_challenge_frames, write_label_stack
from nucleus_unet.exports.nucleus_table import NucleusTable, empty_table
from nucleus_unet.exports.stack_table import open_stack_table
from nucleus_unet.segmenter import Segmenter

STACK = np.random.default_rng(0).integers(0, 9, (4, 3, 20, 30)).astype(np.uint32)
SHAPE = (4, 3, 20, 30)


def test_a_stack_has_its_axes_and_pixel_size(tmp_path: Path) -> None:
    path = tmp_path / "labels.ome.tif"
    write_label_stack(path, STACK.reshape(-1, 20, 30), shape=SHAPE, mpp=0.25, uuid=UUID(int=1))
    with tifffile.TiffFile(path) as file:
        assert (file.series[0].axes, file.series[0].dtype) == ("TZYX", np.uint32)
        np.testing.assert_array_equal(file.asarray(), STACK)
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeYUnit"]) == (0.25, "µm")
        assert (pixels["SizeT"], pixels["SizeZ"], pixels["SizeC"]) == (4, 3, 1)


def test_equal_stacks_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_label_stack(tmp_path / name, iter(STACK[0]), shape=(1, 3, 20, 30), uuid=UUID(int=1))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_stack_that_ends_with_an_error_leaves_no_file(tmp_path: Path) -> None:
    def planes():
        yield STACK[0, 0]
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_label_stack(tmp_path / "labels.ome.tif", planes(), shape=SHAPE, uuid=UUID(int=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("most", "dtype"), [(65535, np.uint16), (65536, np.uint32)])
def test_frames_of_the_challenge_have_16_bits_if_the_labels_fit(tmp_path: Path, most: int, dtype: type) -> None:
    labels = np.full((5, 6), most, np.uint32)
    write_challenge_frames(tmp_path / "01_RES", [[labels], [labels]], count=2, most=most)
    assert sorted(path.name for path in (tmp_path / "01_RES").iterdir()) == ["mask000.tif", "mask001.tif"]
    read = tifffile.imread(tmp_path / "01_RES" / "mask001.tif")
    assert (read.dtype, read.shape) == (dtype, (5, 6))
    np.testing.assert_array_equal(read, labels)


def test_frames_of_a_stack_have_a_page_for_each_plane(tmp_path: Path) -> None:
    write_challenge_frames(tmp_path / "01_RES", STACK, count=1001, most=9)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "01_RES" / "mask0003.tif"), STACK[3])


@pytest.mark.parametrize("plane", [2, None])
def test_both_tables_have_the_same_rows(tmp_path: Path, segmenter: Segmenter, discs: object, plane: int | None) -> None:
    found = segmenter.predict(discs)
    outlines = _core.contours_wkb(found.labels, (0, 0))
    nuclei = NucleusTable(**found.table, outline=outlines)
    for file_format in ("csv", "parquet"):
        with open_stack_table(file_format, tmp_path / file_format, ("scene", "frame", "plane"), empty_table()) as table:
            for frame in (3, 7):
                table.add({"scene": "a,b", "frame": frame, "plane": plane}, nuclei)
            table.add({"scene": "a,b", "frame": 9, "plane": plane}, nuclei[:0])
    text, binary = pd.read_csv(tmp_path / "csv"), pd.read_parquet(tmp_path / "parquet")
    assert list(binary.pop("geometry")) == 2 * outlines
    assert list(text.columns) == list(binary.columns) == ["scene", "frame", "plane", *found.table]
    assert list(text["frame"]) == [3] * 5 + [7] * 5
    assert (text["plane"].isna() == (plane is None)).all()
    pd.testing.assert_frame_equal(text, binary, check_dtype=False)
    assert b"geo" in pyarrow.parquet.read_metadata(tmp_path / "parquet").metadata


def test_a_table_without_nuclei_has_its_columns(tmp_path: Path) -> None:
    for file_format in ("csv", "parquet"):
        with open_stack_table(file_format, tmp_path / file_format, ("scene", "frame", "plane"), empty_table()):
            pass
    assert list(pd.read_parquet(tmp_path / "parquet").columns)[:4] == ["scene", "frame", "plane", "label"]
    assert len(pd.read_csv(tmp_path / "csv")) == 0
