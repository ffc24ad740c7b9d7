"""Surfaces as Wavefront .obj, world mm, which any viewer opens (requirements C1, C5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from ..files import write_file


def obj_text(vertices_mm: Float[np.ndarray, "n 3"], faces: Integer[np.ndarray, "m 3"], name: str) -> str:
    """A mesh as the text of an .obj file; faces count from 1 there. An empty mesh is a name alone.

    Args:
        vertices_mm: world mm (RAS), written to a thousandth of a mm.
        faces: rows of ``vertices_mm``, counterclockwise seen from outside.
        name: of the object.
    """
    lines = [f"o {name}"]
    lines += [f"v {x:.3f} {y:.3f} {z:.3f}" for x, y, z in np.asarray(vertices_mm).tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (np.asarray(faces, np.int64) + 1).tolist()]
    return "\n".join(lines) + "\n"


def write_obj(
    path: str | Path, vertices_mm: Float[np.ndarray, "n 3"], faces: Integer[np.ndarray, "m 3"], name: str
) -> None:
    """Write :func:`obj_text`, whole or not at all; ``InputError`` where that cannot be."""
    write_file(Path(path), obj_text(vertices_mm, faces, name))
