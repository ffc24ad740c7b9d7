"""The whole system in one module: codec, conditioner and flow, and which of them a stage trains (C2, C3)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ..models.lora import SHAPE_ATTENTION, adapter_state, add_lora, load_adapter_state, merged
from ..models.sam3d.conditioner import Conditioner
from ..models.sam3d.embedders import DinoEmbedder, PatchEmbedder, PointPatches
from ..models.sam3d.euler_sampler import sample_codes
from ..models.sam3d.flow_losses import draw_step_noise, flow_loss
from ..models.sam3d.flow_transformer import SparseFlow
from ..models.sam3d.occupancy_vae import StructureDecoder, StructureEncoder, as_grid, as_tokens
from ..models.sam3d.weights_origin import origin, record_origin, untrained_banner

STAGES = ("vae", "base", "lora")
CODEC, PRIOR = ("encoder", "decoder"), ("conditioner", "flow")
NEEDED = {"vae": (), "base": CODEC, "lora": (*CODEC, *PRIOR)}
"""The parts that a stage takes as they are; what it makes of random ones means nothing."""

DINO_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "num_register_tokens": 4,
}


def build_parts(sizes: Mapping[str, Any]) -> dict[str, nn.Module]:
    """The parts with random weights.

    Args:
        sizes: ``voxels``, ``encoder_channels`` (finest first), ``code_channels``, ``codec_blocks``, ``codec_middle``;
            ``width``, ``depth``, ``heads`` of the flow; ``context_width`` of what it is told; ``embedder`` (``patches``
            or ``dino``), ``image_size``, ``patch``, ``embed_width`` of images and masks; ``point_size``,
            ``point_window``, ``point_width``, ``point_heads`` of pointmaps; ``fuser_width``.

    Raises:
        InputError: sizes that do not fit each other.
    """
    codec: dict[str, Any] = {name: sizes[f"codec_{name}"] for name in ("blocks", "middle")}
    codec["code_channels"] = sizes["code_channels"]
    channels = list(sizes["encoder_channels"])
    encoder = StructureEncoder(channels, **codec)
    flow = SparseFlow(
        grid=sizes["voxels"] // encoder.factor,
        code_channels=sizes["code_channels"],
        width=sizes["width"],
        context_width=sizes["context_width"],
        depth=sizes["depth"],
        heads=sizes["heads"],
    )
    points = PointPatches(sizes["point_size"], sizes["point_window"], sizes["point_width"], sizes["point_heads"])
    image, mask = (_embedder(sizes) for _ in range(2))
    conditioner = Conditioner(image, mask, points, sizes["context_width"], sizes["fuser_width"])
    decoder = StructureDecoder(channels[::-1], **codec)
    return {"encoder": encoder, "decoder": decoder, "conditioner": conditioner, "flow": flow}


def _embedder(sizes: Mapping[str, Any]) -> nn.Module:
    if sizes["embedder"] == "dino":
        return DinoEmbedder(size=sizes["image_size"], settings=DINO_LARGE | {"image_size": sizes["image_size"]})
    return PatchEmbedder(sizes["image_size"], sizes["patch"], sizes["embed_width"])


class ShapeModel(nn.Module):
    """Codec, conditioner and flow; :meth:`forward` is what the stage trains, :meth:`draw_shapes` what all is for.

    Attributes:
        encoder, decoder, conditioner: see :mod:`custom.models.sam3d`.
        flow: the sparse flow, with adapters in it after :meth:`adapt`.
        code_mean, code_deviation: [c], of the codes of the shapes that the base was trained on: the flow draws codes
            of mean 0 and deviation 1. 0 and 1 for published weights.
        sizes: what :func:`build_parts` was given.
    """

    def __init__(self, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        self.encoder: nn.Module
        self.decoder: nn.Module
        self.conditioner: nn.Module
        self.flow: nn.Module
        self.sizes = dict(sizes)
        for name, part in build_parts(sizes).items():
            self.add_module(name, part)
        self.code_mean: Tensor
        self.code_deviation: Tensor
        self.register_buffer("code_mean", torch.zeros(sizes["code_channels"]))
        self.register_buffer("code_deviation", torch.ones(sizes["code_channels"]))
        self.stage, self.adapted, self.crop = "lora", False, False
        self.unconditional_share, self.time_mean, self.time_deviation, self.shape_weight = 0.1, -1.0, 1.0, 1.0

    @property
    def voxels(self) -> int:
        return int(self.sizes["voxels"])

    @property
    def grid(self) -> int:
        """Edge of the cube of codes."""
        return self.voxels // cast(StructureEncoder, self.encoder).factor

    def part(self, name: str) -> nn.Module:
        """A part; the flow without its adapters is not to be had of an adapted one."""
        return cast(nn.Module, getattr(self, name))

    def set_stage(self, stage: str, train_conditioner: bool = False) -> None:
        """Free what the stage trains and freeze the rest.

        ``vae`` trains the codec, ``base`` the flow and perhaps the conditioner, ``lora`` the adapters alone.
        """
        self.stage = stage
        free = {"vae": CODEC, "base": PRIOR if train_conditioner else ("flow",), "lora": ()}[stage]
        for name in (*CODEC, *PRIOR):
            if not (stage == "lora" and name == "flow" and self.adapted):
                self.part(name).requires_grad_(name in free)

    def adapt(
        self, rank: int = 8, alpha: float | int = 16, dropout: float | int = 0.0, targets: str = SHAPE_ATTENTION
    ) -> ShapeModel:
        """Put adapters into the flow; nothing changes until they are trained."""
        noted = origin(self.part("flow"))
        self.flow = add_lora(self.part("flow"), rank, alpha, dropout, targets)
        if noted:
            record_origin(self.flow, noted)
        self.adapted = True
        return self

    def merge(self) -> ShapeModel:
        """Add the adapters into the flow's weights; the flow then has its first names again."""
        noted = origin(self.part("flow"))
        self.flow = merged(self.part("flow"))
        if noted:
            record_origin(self.flow, noted)
        self.adapted = False
        return self

    def adapters(self) -> dict[str, Tensor]:
        """The adapters' tensors alone."""
        return adapter_state(self.part("flow"))

    def take_adapters(self, state: dict[str, Tensor]) -> None:
        """Put adapters back; ``InputError`` if they do not fit."""
        load_adapter_state(self.part("flow"), state)

    def banner(self) -> str | None:
        """A line that says which of the parts the stage takes as they are were never trained; nothing if none."""
        return untrained_banner({name: self.part(name) for name in NEEDED[self.stage]})

    def encoded(self, occupancy: Shaped[Tensor, "b 1 s s s"]) -> Float[Tensor, "b n c"]:
        """Shapes as tokens of mean 0 and deviation 1; no gradient."""
        with torch.no_grad():
            mean, _ = self.encoder(occupancy.to(self.code_mean.dtype))
            return as_tokens(mean).sub(self.code_mean).div(self.code_deviation)

    def decoded(self, tokens: Float[Tensor, "b n c"]) -> Float[Tensor, "b 1 s s s"]:
        """Tokens as logits of occupancy, positive inside."""
        logits: Tensor = self.decoder(as_grid(tokens * self.code_deviation + self.code_mean, self.grid))
        return logits

    def told(self, conditions: Mapping[str, Tensor]) -> Float[Tensor, "b m v"]:
        """The flow's condition tokens, from the keys of :func:`custom.sam3d.slice_conditions.conditions_of`,
        batched."""
        own = [conditions[name] for name in ("image", "mask", "pointmap")]
        full = [conditions[f"full_{name}"] for name in ("image", "mask", "pointmap") if f"full_{name}" in conditions]
        context: Tensor = self.conditioner(*own, full=tuple(full) or None)
        return context

    def forward(
        self, inputs: Tensor, conditions: Mapping[str, Tensor] | None = None, chance: Tensor | None = None
    ) -> Any:
        """What the stage's loss is made of, or the shapes drawn.

        In stage ``vae`` of occupancy [b, 1, s, s, s]: ``logits``, ``mean`` and ``log_variance``. Else of tokens
        [b, n, c] and what the flow is told of them: ``flow`` (the loss), ``estimate`` (tokens) and ``time``. Of
        pictures alone, [b, 5, h, w] of image, mask and pointmap side by side (10 with those of the whole slice), the
        probabilities of :meth:`draw_shapes`. ``chance`` [b] are the seeds of all that is random of each case; 0, 1 and
        so on if left out.
        """
        if inputs.ndim == 4:
            return self.draw_shapes(split_image_channels(inputs))
        seeds = list(range(len(inputs))) if chance is None else chance.tolist()
        if self.stage == "vae":
            mean, log_variance = self.encoder(inputs)
            noise = draw_step_noise(seeds, mean).noise * (0.5 * log_variance).exp() if self.training else 0.0
            return {"logits": self.decoder(mean + noise), "mean": mean, "log_variance": log_variance}
        assert conditions is not None
        found = flow_loss(
            self.flow,
            inputs,
            self.told(conditions),
            draw_step_noise(seeds, inputs),
            float(self.unconditional_share) if self.training else 0.0,
            float(self.time_mean),
            float(self.time_deviation),
            float(self.shape_weight),
        )
        return {"flow": found.loss, "estimate": found.estimate, "time": found.time}

    @torch.no_grad()
    def draw_shapes(
        self,
        conditions: Mapping[str, Tensor],
        steps: int = 25,
        guidance: float | int = 2.0,
        guided_until: float | int = 0.5,
        rescale: float | int = 3.0,
        seeds: Sequence[int] | None = None,
    ) -> Float[Tensor, "b 1 s s s"]:
        """Probabilities of occupancy on the cube, drawn by the flow and decoded; above a half is inside.

        Args:
            conditions: ``image`` [b, 1, h, w], ``mask`` [b, 1, h, w], ``pointmap`` [b, 3, h, w], and the three of the
                whole slice if the model was trained with ``crop``.
            steps, guidance, guided_until, rescale: of :func:`custom.models.sam3d.euler_sampler.sample_codes`.
            seeds: of the noise of each case, so that a sample does not depend on its neighbours in the batch; 0, 1 and
                so on if left out.
        """
        context = self.told(conditions)
        count, channels = context.shape[0], self.code_mean.shape[0]
        rows = []
        for seed in range(count) if seeds is None else seeds:
            generator = torch.Generator().manual_seed(int(seed))
            rows.append(torch.randn(self.grid**3, channels, generator=generator))
        noise = torch.stack(rows).to(context)
        tokens = sample_codes(self.flow, noise, context, steps, float(guidance), float(guided_until), float(rescale))
        return self.decoded(tokens).sigmoid()


def split_image_channels(pictures: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
    """Image, mask and pointmap out of the channels of one tensor; then those of the whole slice, if there are more."""
    found = {}
    for start, view in ((0, ""), (5, "full_"))[: pictures.shape[1] // 5]:
        parts = pictures[:, start : start + 5].split([1, 1, 3], dim=1)
        found.update({f"{view}{name}": part for name, part in zip(("image", "mask", "pointmap"), parts, strict=True)})
    return found


def weights_digest(model: ShapeModel, names: Sequence[str]) -> str:
    """A digest of the weights of some parts, by which a later stage knows what it was made against.

    Adapters do not count: what an adapter was made against stays what it was.
    """
    hashed = hashlib.blake2b(digest_size=16)
    for name in names:
        state = model.part(name).state_dict()
        plain = {key.replace("base_model.model.", "").replace(".base_layer", ""): value for key, value in state.items()}
        for key in sorted(key for key in plain if ".lora_" not in key):
            hashed.update(f"{name}.{key}".encode())
            hashed.update(plain[key].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()
