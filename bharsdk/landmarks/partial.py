"""What a partly detected body or hand counts as.

A landmarker may miss single joints. These are NaN one by one, and the rules are:

* A body can be measured when both shoulders were found; all lengths are shoulder widths. Without
  them the features, the movement and the window take the body as not detected.
* A hand can be measured when the wrist and the middle knuckle were found. Without them it counts as
  not detected.
* Of what can be measured, a missing joint is 0 with presence 0 in the features, and every mean is
  over the joints that were found.
* Drawing, boxes and recordings take each joint by itself.

Bodies and hands that are whole or wholly NaN give the same bits as without these rules.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.landmarks.skeleton import BodyJoint, HandJoint

__all__ = ["BODY_ANCHORS", "HAND_ANCHORS", "is_body", "is_hand", "mean_of_seen", "sum_of_bones"]

Floats = npt.NDArray[np.floating[Any]]
BODY_ANCHORS = [BodyJoint.LEFT_SHOULDER, BodyJoint.RIGHT_SHOULDER]
HAND_ANCHORS = [HandJoint.WRIST, HandJoint.MIDDLE_MCP]


def is_body(body: Floats) -> npt.NDArray[np.bool_]:
    """body [..., V, C] in MediaPipe's order -> whether each can be measured, bool [...]."""
    found: npt.NDArray[np.bool_] = ~np.isnan(body[..., BODY_ANCHORS, 0]).any(axis=-1)
    return found


def is_hand(hand: Floats) -> npt.NDArray[np.bool_]:
    """hand [..., 21, C] in MediaPipe's order -> whether each can be measured, bool [...]."""
    found: npt.NDArray[np.bool_] = ~np.isnan(hand[..., HAND_ANCHORS, 0]).any(axis=-1)
    return found


def mean_of_seen(values: Floats) -> Floats:
    """Mean over the last axis, of what is not NaN; NaN where all is."""
    mean: Floats = np.asarray(values.mean(axis=-1))
    partly = np.isnan(mean) & ~np.isnan(values).all(axis=-1)
    if partly.any():
        mean[partly] = np.nanmean(values[partly], axis=-1)
    return mean


def sum_of_bones(lengths: Floats) -> Floats:
    """lengths [..., V] of the bones to each joint's parent, the root's 0 -> their sum [...].

    A missing bone counts as long as the mean of the others.
    """
    total: Floats = np.asarray(lengths.sum(axis=-1))
    count = (~np.isnan(lengths)).sum(axis=-1) - 1
    partly = np.isnan(total) & (count > 0)
    if partly.any():
        found = np.nansum(lengths[partly], axis=-1)
        total[partly] = found / count[partly] * (lengths.shape[-1] - 1)
    return total
