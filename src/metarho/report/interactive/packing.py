"""Arrays as text in a page's JSON: base64 of little-endian numbers, row by row."""

from __future__ import annotations

import base64
from typing import Literal

import numpy as np
from numpy.typing import NDArray


def packed(values: NDArray[np.float64], kind: Literal["<f4", "<f8"] = "<f8") -> str:
    """An array as base64; ``<f4`` keeps seven digits in half of the room."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")
