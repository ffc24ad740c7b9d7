"""A MONAI U-Net that completes hearts from labels to labels, trained for so many CPU seconds.

In go the given structures, one channel each, and as many channels that say whether each is given; out come background
and all structures. It learns from the same hearts, moved by the same small motions and hidden by the same chance as the
network of ``heart_completion``. At a side below that of the canvas it works on shares of voxels and its probabilities
are interpolated linearly.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, UInt8
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from scipy import ndimage
from torch import Tensor

from custom.completion.hide_structures import StructureHider
from custom.completion.sample_points import RandRigidMotion
from custom.surfaces.cloud_frame import SCALE_MM
from custom.training.checkpoint_file import save_atomically

from .partial_hearts import INDICES, Canvas

HIDING = {
    "hidden_counts": "counts",
    "hidden_schemes": "schemes",
    "scheme_share": "scheme_share",
    "shown_subsets": "subsets",
    "subset_share": "subset_share",
}
"""Settings of the bundle that are arguments of :class:`StructureHider`."""

SAVE_SECONDS = 60.0


@dataclass(frozen=True)
class UNetRun:
    """One training.

    Attributes:
        side: voxels along each axis; a divisor of the canvas's.
        learning_rate: at its highest; a cosine over the time brings it down.
        budget_s: CPU seconds of training.
        bundle: settings of the bundle: what is hidden, and how far hearts are moved.
        batch_size: hearts a step.
        channels: of the levels.
        seed: of weights and draws.
    """

    side: int
    learning_rate: float
    budget_s: float
    bundle: Mapping[str, Any]
    batch_size: int = 2
    channels: Sequence[int] = (24, 48, 96, 192)
    seed: int = 0

    @property
    def hiding(self) -> StructureHider:
        return StructureHider(**{name: self.bundle[key] for key, name in HIDING.items() if key in self.bundle})

    @property
    def motion(self) -> RandRigidMotion:
        own = self.bundle
        return RandRigidMotion(own["rotation_deg"], own["scale_share"], own["shift_mm"] / SCALE_MM)

    def record(self) -> dict[str, Any]:
        """All that the weights depend on."""
        used = (*HIDING, "rotation_deg", "scale_share", "shift_mm")
        return asdict(self) | {"bundle": {key: self.bundle[key] for key in used if key in self.bundle}}

    def network(self) -> UNet:
        torch.manual_seed(self.seed)
        count = len(INDICES)
        return UNet(3, 2 * count, count + 1, tuple(self.channels), (2,) * (len(self.channels) - 1), num_res_units=2)


def moved(
    labels: UInt8[np.ndarray, "s s s"], canvas: Canvas, motion: RandRigidMotion, generator: np.random.Generator
) -> UInt8[np.ndarray, "s s s"]:
    """The labels after a small motion about the middle of the canvas, nearest neighbour."""
    matrix, shift, _ = motion.draw(generator)
    back = np.linalg.inv(matrix)
    middle = (np.asarray(labels.shape) - 1) / 2
    offset = middle - back @ (middle + shift * SCALE_MM / canvas.step_mm)
    return np.asarray(ndimage.affine_transform(labels, back, offset, order=0))


def shares_of(labels: UInt8[np.ndarray, "s s s"], side: int) -> Float32[Tensor, "1+c t t t"]:
    """The share of background and of each structure in every voxel of a grid of ``side``, at most that of the labels.

    Raises:
        ValueError: ``side`` does not divide that of the labels.
    """
    factor, rest = divmod(labels.shape[0], side)
    if rest:
        raise ValueError(f"a side of {side} does not divide {labels.shape[0]}")
    numbers = np.zeros(256, np.int64)
    numbers[list(INDICES)] = np.arange(1, len(INDICES) + 1)
    each = torch.from_numpy(numbers[labels])
    masks = torch.stack([each == number for number in range(len(INDICES) + 1)]).float()
    return F.avg_pool3d(masks, factor) if factor > 1 else masks


def shown_channels(shares: Float32[Tensor, "1+c t t t"], shown: Bool[np.ndarray, " c"]) -> Tensor:
    """What the network sees [2 c, t, t, t]: the shares of what is shown, and whether each is."""
    there = torch.from_numpy(shown.astype(np.float32)).reshape(-1, 1, 1, 1)
    return torch.cat([shares[1:] * there, there.expand_as(shares[1:])])


def learning_rate_at(share: float, highest: float) -> float:
    """After a share of the time: up over the first twentieth, then down along a cosine to a hundredth."""
    if share < 0.05:
        return highest * (0.1 + 0.9 * share / 0.05)
    return highest * (0.01 + 0.99 * (1 + math.cos(math.pi * min((share - 0.05) / 0.95, 1))) / 2)


@dataclass(eq=False)
class Training:
    """A training that can be broken off and taken up again.

    Attributes:
        run: what is asked.
        hearts: label maps on the canvas.
        canvas: where they lie.
        path: of the weights and of what going on needs.
    """

    run: UNetRun
    hearts: Sequence[UInt8[np.ndarray, "s s s"]]
    canvas: Canvas
    path: Path
    steps: int = 0
    spent_s: float = 0.0
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.set_num_threads(1)
        self.network = self.run.network()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), self.run.learning_rate, weight_decay=0.01)
        self.loss, self.hiding, self.motion = DiceCELoss(softmax=True), self.run.hiding, self.run.motion
        if self.path.exists():
            kept = torch.load(self.path, weights_only=True)
            self.network.load_state_dict(kept["model"])
            self.optimizer.load_state_dict(kept["optimizer"])
            self.steps, self.spent_s, self.losses = kept["steps"], kept["spent_s"], kept["losses"]

    def save(self) -> None:
        content = {"model": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "steps": self.steps}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save_atomically({**content, "spent_s": self.spent_s, "losses": self.losses}, self.path)

    def batch(self, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Input and target of a step."""
        seen, wanted = [], []
        for row in generator.integers(0, len(self.hearts), self.run.batch_size):
            shares = shares_of(moved(self.hearts[row], self.canvas, self.motion, generator), self.run.side)
            shown = self.hiding.draw(generator, np.ones(len(INDICES), bool))
            seen.append(shown_channels(shares, shown))
            wanted.append(shares)
        return torch.stack(seen), torch.stack(wanted)

    def step(self) -> None:
        """One step; what is random in it follows from the seed and its number."""
        inputs, target = self.batch(np.random.default_rng((self.run.seed, self.steps)))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate_at(self.spent_s / self.run.budget_s, self.run.learning_rate)
        self.optimizer.zero_grad()
        loss = self.loss(self.network(inputs), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        if self.steps % 50 == 1:
            self.losses.append(float(loss.detach()))

    def go(self) -> dict[str, Any]:
        """Train until the CPU time is spent; what it took."""
        self.network.train()
        begun, saved_s = time.process_time() - self.spent_s, self.spent_s
        while self.spent_s < self.run.budget_s:
            self.step()
            self.spent_s = time.process_time() - begun
            if self.spent_s - saved_s > SAVE_SECONDS:
                self.save()
                saved_s = self.spent_s
        self.save()
        return {"cpu_seconds": self.spent_s, "steps": self.steps, "losses": self.losses}


class UNetPreference:
    """A trained U-Net's probabilities on the canvas.

    Args:
        run: what was trained.
        path: its weights.
        canvas: where.
    """

    def __init__(self, run: UNetRun, path: Path, canvas: Canvas) -> None:
        self.run, self.canvas, self.network = run, canvas, run.network()
        self.network.load_state_dict(torch.load(path, weights_only=True)["model"])
        self.network.eval()

    @torch.no_grad()
    def __call__(
        self, given: UInt8[np.ndarray, "s s s"], shown: Bool[np.ndarray, " c"]
    ) -> Float32[np.ndarray, "1+c s s s"]:
        seen = shown_channels(shares_of(given, self.run.side), shown)[None]
        chance = self.network(seen).softmax(dim=1)
        if self.run.side != self.canvas.side:
            chance = F.interpolate(chance, size=self.canvas.shape, mode="trilinear", align_corners=False)
        return np.asarray(chance[0].numpy())
