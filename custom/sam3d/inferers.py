"""Prepare-batch and inferers of the shape model, for training, validation and inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Shaped
from monai.engines import PrepareBatch
from monai.inferers import Inferer
from torch import Tensor, nn

from .shape_model import ShapeModel

TOLD = ("image", "mask", "pointmap", "full_image", "full_mask", "full_pointmap")
TRUTH = ("occupancy", "sdf_mm", "axis", "slice_idx")


def unwrapped(network: nn.Module) -> ShapeModel:
    """The model, out of its ``DistributedDataParallel`` wrapper if it has one."""
    found = network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
    assert isinstance(found, ShapeModel)
    return found


class PrepareShape(PrepareBatch):
    """Sort a batch: the shapes, their targets, and as keyword arguments the flow's condition and which shapes they are.

    A shape is known by its item's ``index`` and ``turn``.
    """

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, dict[str, Tensor], tuple[()], dict[str, Any]]:
        def there(names: tuple[str, ...]) -> dict[str, Tensor]:
            found = {name: batchdata[name] for name in names if name in batchdata}
            return {name: value.to(device=device, non_blocking=non_blocking) for name, value in found.items()}

        target = there(TRUTH)
        known = list(zip(batchdata["index"].tolist(), batchdata["turn"].tolist(), strict=True))
        beside = {"conditions": there(TOLD), "known": known, "chance": batchdata["chance"]}
        return target["occupancy"], target | {"structure": batchdata["structure"]}, (), beside


class EncodedShapes:
    """Codes of shapes, each made once: the codec does not change while a flow is trained.

    Each shape is encoded alone, so that its codes do not depend on the batch it came in.

    Args:
        most: kept at a time; the others are made again.
    """

    def __init__(self, most: int = 20_000) -> None:
        self.most = most
        self.kept: dict[tuple[int, int], Tensor] = {}

    def of(
        self, model: ShapeModel, occupancy: Shaped[Tensor, "b 1 s s s"], known: list[tuple[int, int]]
    ) -> Float[Tensor, "b n c"]:
        """Tokens of mean 0 and deviation 1."""
        rows = []
        for row, key in enumerate(known):
            tokens = self.kept.get(key)
            if tokens is None:
                tokens = model.encoded(occupancy[row : row + 1])[0].cpu()
                if len(self.kept) < self.most:
                    self.kept[key] = tokens
            rows.append(tokens)
        return torch.stack(rows).to(occupancy.device)


class TrainingInferer(Inferer):
    """Ask the model for what its loss is made of.

    Args:
        bf16: run the matrix products in bfloat16; weights and losses stay in single precision.
        decode: whether to decode the flow's estimate, for a loss that judges it.
        most_codes: see :class:`EncodedShapes`.
    """

    def __init__(self, bf16: bool = False, decode: bool = False, most_codes: int = 20_000) -> None:
        self.bf16, self.decode, self.codes = bf16, decode, EncodedShapes(most_codes)

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        assert isinstance(network, nn.Module)
        model = unwrapped(network)
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            if model.stage == "vae":
                answer: dict[str, Tensor] = network(inputs.float(), chance=kwargs["chance"])
            else:
                codes = self.codes.of(model, inputs, kwargs["known"])
                answer = network(codes, kwargs["conditions"], kwargs["chance"])
                if self.decode:
                    answer["decoded"] = model.decoded(answer["estimate"])
        return {name: value.float() for name, value in answer.items()}


class ValidationInferer(TrainingInferer):
    """Ask for the same with noise and moments that are alike in every epoch, and draw the shapes.

    The output holds ``drawn`` too, probabilities [b, 1, s, s, s]: in stage ``vae`` the reconstruction of each shape.

    Args:
        bf16, decode, most_codes: of :class:`TrainingInferer`.
        draws: time steps at which the flow is evaluated for each shape; the output has the mean loss of all.
        steps: of drawing; 0 draws nothing.
        guidance: of drawing.
        seed: of noise and moments.
    """

    def __init__(
        self,
        bf16: bool = False,
        decode: bool = False,
        most_codes: int = 20_000,
        draws: int = 4,
        steps: int = 10,
        guidance: float | int = 2.0,
        seed: int = 0,
    ) -> None:
        super().__init__(bf16, decode, most_codes)
        self.draws, self.steps, self.guidance, self.seed = draws, steps, float(guidance), seed

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        assert isinstance(network, nn.Module)
        model, known = unwrapped(network), kwargs["known"]
        asked = range(1 if model.stage == "vae" else self.draws)
        each = [kwargs | {"chance": kwargs["chance"] + draw} for draw in asked]
        answers = [super(ValidationInferer, self).__call__(inputs, network, **own) for own in each]
        answer = answers[-1]
        if model.stage == "vae":
            return answer | {"drawn": answer["logits"].sigmoid()}
        answer["flow"] = torch.stack([one["flow"] for one in answers]).mean()
        if self.steps:
            seeds = [self.seed * 1_000_003 + index for index, _ in known]
            conditions: Mapping[str, Tensor] = kwargs["conditions"]
            answer["drawn"] = model.draw_shapes(conditions, self.steps, self.guidance, seeds=seeds)
        return answer
