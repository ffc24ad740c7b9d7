"""In how many pieces a mask lies (A1.7)."""

from __future__ import annotations

import cc3d
import numpy as np
from jaxtyping import Bool


def component_count(mask: Bool[np.ndarray, "i j k"]) -> int:
    """Connected components of a mask; voxels that share a face, an edge or a corner are connected (26 neighbours).

    Empty: 0. One voxel, a full mask: 1. The volume's border is not wrapped around.
    """
    if not mask.any():
        return 0
    _, count = cc3d.connected_components(np.ascontiguousarray(mask), connectivity=26, return_N=True)
    return int(count)
