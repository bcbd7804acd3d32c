"""A picture as OpenCV reads it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Image"]

Image = npt.NDArray[np.uint8]
"""A picture, uint8 [height, width, 3], BGR as OpenCV reads it."""
