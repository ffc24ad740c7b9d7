"""Asking a triangle mesh for distances, on the CPU or a GPU: the only file that knows warp.

warp-lang comes with the extra ``completion``. Its kernels are compiled on first use, for seconds, and kept in its cache
folder; the same kernel runs on both.
"""

from __future__ import annotations

import inspect
import os
from threading import Lock
from typing import Any

import numpy as np
import warp
from jaxtyping import Float, Float32, Int8, Int32

from ..errors import InputError

wp: Any = warp

wp.config.log_level = wp.LOG_ERROR


def _start_quietly() -> None:
    """Start warp without its message on standard error where there is no GPU."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        wp.init()
    finally:
        os.dup2(kept, 2)
        os.close(kept)


_start_quietly()

_FARTHEST_MM = wp.constant(1.0e6)


def _ask(mesh: Any, points: Any, band: Any, distance: Any, side: Any) -> None:
    i = wp.tid()
    point = points[i]
    nearest = wp.mesh_query_point_no_sign(mesh, point, _FARTHEST_MM)
    away = wp.length(wp.mesh_eval_position(mesh, nearest.face, nearest.u, nearest.v) - point)
    distance[i] = away
    if away <= band:
        # The solid angle of the mesh: right beside folds too, where the nearest triangle's side is not.
        around = wp.mesh_query_point_sign_winding_number(mesh, point, away * 1.001 + 1.0e-4, 2.0, 0.5)
        side[i] = wp.int8(wp.sign(around.sign))


# warp compiles the source it finds, and must not find the wrapper that checks types in the tests.
_ASK = wp.kernel(inspect.unwrap(_ask))

_FIRST = Lock()
_LAUNCHED: set[str] = set()
"""Devices the kernel has run on. warp makes it ready in its first launch there, and two of these at once can fail."""


class MeshQuery:
    """A mesh on a device.

    Args:
        vertices: [n, 3], any length.
        faces: [m, 3].
        device: ``cpu``, ``cuda`` or one GPU such as ``cuda:1``; empty for a GPU if there is one.

    Raises:
        InputError: the device is not there.
    """

    def __init__(self, vertices: Float[np.ndarray, "n 3"], faces: Int32[np.ndarray, "m 3"], device: str = "") -> None:
        self.device = check_device(device)
        points = wp.array(np.ascontiguousarray(vertices, np.float32), dtype=wp.vec3, device=self.device)
        corners = wp.array(np.ascontiguousarray(faces).reshape(-1), dtype=wp.int32, device=self.device)
        self.mesh = wp.Mesh(points, corners, support_winding_number=True)
        with _FIRST:
            if str(self.device) not in _LAUNCHED:
                self.ask(np.zeros((1, 3)))
                _LAUNCHED.add(str(self.device))

    def ask(
        self, points: Float[np.ndarray, "n 3"], band: float = 0.0
    ) -> tuple[Float32[np.ndarray, " n"], Int8[np.ndarray, " n"]]:
        """Distance of each point to the nearest place on the mesh, exact but for rounding in single precision.

        Returns:
            The distances; and, of those up to ``band``, the sides: -1 inside, 1 outside. 0 beyond.
        """
        count = len(points)
        given = wp.array(np.ascontiguousarray(points, np.float32), dtype=wp.vec3, device=self.device)
        distance = wp.zeros(count, dtype=wp.float32, device=self.device)
        side = wp.zeros(count, dtype=wp.int8, device=self.device)
        inputs = [wp.uint64(self.mesh.id), given, wp.float32(band), distance, side]
        wp.launch(_ASK, dim=count, inputs=inputs, device=self.device)
        return distance.numpy(), side.numpy()


def check_device(name: str) -> Any:
    """The device of that name; a GPU, if there is one, for an empty name.

    Raises:
        InputError: it is not there.
    """
    there = [str(device) for device in wp.get_devices()]
    wanted = name or ("cuda" if wp.is_cuda_available() else "cpu")
    if wanted not in there and not (wanted == "cuda" and wp.is_cuda_available()):
        raise InputError("device", repr(name), f"one of {', '.join(there)}", "Choose one of them.")
    return wp.get_device(wanted)
