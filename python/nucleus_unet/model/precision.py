"""The precisions in which a network computes."""

from __future__ import annotations

from typing import Literal

Precision = Literal["int8", "bfloat16", "float32"]
PRECISIONS: tuple[Precision, ...] = ("int8", "bfloat16", "float32")
