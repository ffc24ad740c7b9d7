"""Small whole hearts for the tests of packages: a run as unified_implicit leaves it, without training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.models.near.near_field import NearField
from custom.near.field_checkpoint import pack
from custom.package.load_package import sha256
from custom.package.manifest import CHECKSUM, FILES, MANIFEST, ZEROS, checksum, read_manifest, written
from custom.space import Frame
from custom.training.checkpoint_file import save_atomically

NETWORK = {"trunk_channels": [8, 8], "latent_size": 3, "code_side": 5, "widths": [16, 16, 16, 16], "outputs": 10}
TURNED = np.array([[0.0, -1.3, 0.2, 45.0], [1.1, 0.1, 0.0, 15.0], [0.0, 0.3, 0.9, 35.0], [0.0, 0.0, 0.0, 1.0]])
STRAIGHT = np.diag([2.0, 1.5, 3.0, 1.0])
FRAMES = {
    "007": Frame(STRAIGHT, (31, 29, 23), (3, 5, 2), (27, 23, 19)),
    "beyond": Frame(TURNED, (29, 23, 31), (-5, 3, 7), (19, 27, 29)),
    "empty": Frame(STRAIGHT, (7, 11, 13), (0, 0, 0), (-1, -1, -1)),
    "patient_a": Frame(np.diag([-1.7, -1.7, 1.7, 1.0]), (37, 31, 29), (0, 0, 0), (36, 30, 28)),
}
"""One with a name of digits; one turned, with a box that reaches beyond its volume; one of background; one that fills
its volume."""
CASES = tuple(FRAMES)
THRESHOLDS = {name: round(0.3 + 0.04 * channel, 2) for channel, name in enumerate(PUBLIC_CARDIAC_CT.names)}


def lively(cases: int, network: dict[str, Any] | None = None, seed: int = 5) -> NearField:
    """A field of random weights in which every structure takes its share of the box."""
    torch.manual_seed(seed)
    field = NearField(cases, **(network or NETWORK))
    points, head = torch.rand(cases, 3, 500) * 2 - 1, field.head
    with torch.no_grad():
        field.codes.table.weight.normal_()
        for layer in (head.fc1, head.fc2, head.fc3, head.fc4):
            layer.weight.mul_(2.5)
        logits = field(points, torch.arange(cases)).transpose(0, 1).flatten(1)
        scale = 3 / logits.std(dim=1)
        head.output.weight.mul_(scale[:, None])
        head.output.bias.copy_(scale * (head.output.bias - logits.mean(dim=1)) - 3)
    return field


def content_of(frames: dict[str, Frame], field: NearField, network: dict[str, Any] | None = None) -> dict[str, Any]:
    settings = {"network": network or NETWORK, "margin": 4}
    content = pack(field, "heart", "public_cardiac_ct", list(frames), frames, settings)
    return content | {"class_weights": [1.0] * 10, "extents": {}}


def save_run(folder: Path, calibrated: bool = True, frames: dict[str, Frame] | None = None) -> Path:
    """A run's output folder with ``heart/best.pt``."""
    chosen = frames or FRAMES
    content = content_of(chosen, lively(len(chosen)))
    save_atomically(content | ({"thresholds": THRESHOLDS} if calibrated else {}), folder / "heart" / "best.pt")
    return folder


def resealed(folder: Path, **changes: Any) -> None:
    """Make sizes and hashes those of the files as they are, and change what ``model.json`` says by attribute: what
    remains is the work of somebody who knows how packages are sealed."""
    manifest = replace(read_manifest(folder / MANIFEST), **changes)
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in FILES}
    (folder / MANIFEST).write_bytes(written(replace(manifest, files=files)))


def edited(folder: Path, **keys: Any) -> None:
    """Change keys of ``model.json``, ``None`` to drop one, and seal it again."""
    content = json.loads((folder / MANIFEST).read_text()) | keys | {CHECKSUM: ZEROS}
    text = json.dumps({key: value for key, value in content.items() if value is not None})
    stated = checksum(text.encode(), ZEROS)
    (folder / MANIFEST).write_text(text.replace(ZEROS, stated, 1))
