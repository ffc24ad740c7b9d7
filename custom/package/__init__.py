"""All hearts of a cohort as one folder: packed, checked and drawn again anywhere.

>>> from custom.package import load
>>> heart = load("heart_model").render("case_1", spacing_mm=0.5)  # doctest: +SKIP
"""

from __future__ import annotations

from .load_package import load
from .packed_model import HeartModel, PackedHeart

__all__ = ["PackedHeart", "HeartModel", "load"]
