"""In how many pieces a mask lies (A1.7)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from ..volumes.components import count


def component_count(mask: Bool[np.ndarray, "i j k"]) -> int:
    """Connected components of a mask; voxels that share a face, an edge or a corner are connected (26 neighbours).

    Empty: 0. One voxel, a full mask: 1. The volume's border is not wrapped around.
    """
    return count(mask, connectivity=26)
