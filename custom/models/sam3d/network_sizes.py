"""Sizes of the parts: as published, and small enough for a test."""

from __future__ import annotations

from typing import Any

FULL: dict[str, dict[str, Any]] = {
    "encoder": {"channels": (32, 128, 512), "code_channels": 8},
    "decoder": {"channels": (512, 128, 32), "code_channels": 8},
    "flow": {"grid": 16, "code_channels": 8, "width": 1024, "context_width": 1024, "depth": 24, "heads": 16},
}
"""As published: 64^3 voxels to 16^3 codes of 8 numbers."""

TINY: dict[str, dict[str, Any]] = {
    "encoder": {"channels": (8, 16), "code_channels": 4, "blocks": 1, "middle": 1},
    "decoder": {"channels": (16, 8), "code_channels": 4, "blocks": 1, "middle": 1},
    "flow": {"grid": 8, "code_channels": 4, "width": 48, "context_width": 32, "depth": 2, "heads": 3},
}
"""16^3 voxels to 8^3 codes of 4 numbers."""
