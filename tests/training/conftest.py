"""Tests of training: one thread, because waiting threads spin and starve each other."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
