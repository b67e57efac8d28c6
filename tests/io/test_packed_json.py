"""Tests of `nucleus_unet.io.packed_json`."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.io.packed_json import read_packed_json

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=20)


@given(JSON)
def test_packed_and_plain_text_give_the_values_that_were_written(values: object) -> None:
    text = json.dumps(values).encode()

    assert read_packed_json(text) == read_packed_json(gzip.compress(text)) == values


@given(JSON, st.data())
def test_cut_gzip_is_a_value_error(values: object, data: st.DataObject) -> None:
    packed = gzip.compress(json.dumps(values).encode())
    cut = packed[: data.draw(st.integers(2, len(packed) - 1))]

    with pytest.raises(ValueError, match=r"\w"):
        read_packed_json(cut)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, gzip.compress(b"[" * 100_000)])
def test_what_is_no_json_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_packed_json(content)
