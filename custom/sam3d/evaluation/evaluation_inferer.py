"""Prepare-batch and inferer of the evaluation: a slice as input, all predictions of one model as output (C4)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import numpy as np
import torch
from jaxtyping import Float, UInt8
from monai.engines import PrepareBatch
from monai.inferers import Inferer
from monai.transforms import Transform
from torch import Tensor, nn

from ...metrics.slice_evaluation import question_name
from ...slices.slice_file import Slice
from ..inferers import TOLD, unwrapped
from ..shape_model import ShapeModel
from ..slice_conditions import LoadShaped, conditions_of

ABOUT = {
    "lora": "the flow with its adapters, from one slice",
    "base": "the flow, from one slice",
    "untuned_base": "the same flow without its adapters, from the same slice and noise",
    "codec_ceiling": "the truth encoded and decoded again: what the codec loses whatever the flow does",
}
"""The predictions of a model, and what each is."""


def methods_of(model: ShapeModel) -> tuple[str, ...]:
    """Names of the predictions of a model, its own stage first, then those before it."""
    if model.stage == "vae":
        return ("codec_ceiling",)
    return ("lora", "untuned_base", "codec_ceiling") if model.adapted else ("base", "codec_ceiling")


@contextmanager
def without_adapters(model: ShapeModel) -> Iterator[None]:
    """The flow as it was before its adapters, which are back afterwards."""
    with cast(Any, model.part("flow")).disable_adapter():
        yield


class LoadEvaluationItemd(Transform):
    """Read a question of :func:`custom.sam3d.evaluation.evaluation_items.find_evaluation_items`.

    Adds what :func:`custom.sam3d.slice_conditions.conditions_of` makes of the slice, ``seen``, the structure's whole
    mask [s, s], ``occupancy`` [1, s, s, s], the truth, ``affine`` [4, 4], and ``seed``, the same whatever else is
    evaluated.

    Args:
        voxels: along each axis of the network's cube.
        crop: whether the network was trained on crops.
        seed: of the run.

    Raises:
        InputError: as :meth:`custom.slices.slice_file.Slice.read` and
            :class:`custom.sam3d.slice_conditions.LoadShaped`.
    """

    def __init__(self, voxels: int, crop: bool = False, seed: int = 0) -> None:
        self.truth, self.crop, self.seed = LoadShaped(voxels), crop, seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = self.truth(data)
        one = Slice.read(Path(item["slice"]))
        item.update(conditions_of(one, item["structure"], self.crop))
        item["occupancy"] = torch.from_numpy(item["occupancy"])
        item["seen"] = torch.from_numpy(one.of_structure(item["structure"])[0].copy())
        item["affine"] = torch.from_numpy(np.array(one.affine))
        item["seed"] = crc32(f"{self.seed} {question_name(cast(Any, item))}".encode())
        return item


class PrepareEvaluation(PrepareBatch):
    """Sort a batch: the truth, and as keyword arguments the condition and the seeds of the noise."""

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, tuple[()], dict[str, Any]]:
        def there(name: str) -> Tensor:
            moved: Tensor = batchdata[name].to(device=device, non_blocking=non_blocking)
            return moved

        told = {name: there(name) for name in TOLD if name in batchdata}
        truth = there("occupancy")
        return truth, truth, (), {"conditions": told, "seeds": batchdata["seed"].tolist()}


class EvaluationInferer(Inferer):
    """All predictions of a model for a batch: probabilities [b, m, s, s, s], in the order of
    :func:`methods_of`.

    Args:
        draws: shapes that are drawn from noise of their own for each answer; the answer is their mean probability.
        steps, guidance: of :meth:`custom.sam3d.shape_model.ShapeModel.draw_shapes`; the same with adapters and
            without.
    """

    def __init__(self, draws: int = 1, steps: int = 25, guidance: float | int = 0.0) -> None:
        self.draws, self.how = draws, {"steps": steps, "guidance": float(guidance)}

    @torch.no_grad()
    def __call__(
        self, inputs: UInt8[Tensor, "b 1 s s s"], network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Float[Tensor, "b m s s s"]:
        assert isinstance(network, nn.Module)
        model = unwrapped(network)
        answers = []
        for method in methods_of(model):
            if method == "codec_ceiling":
                answers.append(model.decoded(model.encoded(inputs.float())).sigmoid())
            elif method == "untuned_base":
                with without_adapters(model):
                    answers.append(self._drawn(model, **kwargs))
            else:
                answers.append(self._drawn(model, **kwargs))
        return torch.cat(answers, dim=1)

    def _drawn(self, model: ShapeModel, conditions: Mapping[str, Tensor], seeds: list[int]) -> Tensor:
        drawn = [
            model.draw_shapes(conditions, **cast(Any, self.how), seeds=[seed + 1_000_003 * turn for seed in seeds])
            for turn in range(self.draws)
        ]
        return torch.stack(drawn).mean(dim=0)


class SplitPredictionsd(Transform):
    """Split all predictions for an item into ``answers``, probabilities [m, s, s, s], and ``pred``, the first one as a
    volume of 0 and 1 [1, s, s, s]; above a half is inside."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        item["answers"] = torch.as_tensor(np.asarray(item["pred"]))
        item["pred"] = (item["answers"][:1] > 0.5).to(torch.uint8)
        return item
