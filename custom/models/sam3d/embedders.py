"""Images, masks and pointmaps as tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import InputError
from .position_embedding import grid_positions

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PatchEmbedder(nn.Module):
    """An image's square patches through one linear layer, each knowing its place: small, for small models.

    Args:
        size: edge of the image that is looked at; any other is resampled.
        patch: edge of a patch, a divisor of it.
        width: of a token.
        channels: of the image.
    """

    def __init__(self, size: int = 16, patch: int = 4, width: int = 32, channels: int = 1) -> None:
        super().__init__()
        self.size, self.width = size, width
        self.project = nn.Conv2d(channels, width, patch, stride=patch)
        self.register_buffer("places", grid_positions(size // patch, width, axes=2), persistent=False)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n v"]:
        seen = F.interpolate(image, (self.size, self.size), mode="bilinear", align_corners=False)
        tokens: Tensor = self.project(seen).flatten(2).transpose(1, 2) + self.places
        return tokens


class DinoEmbedder(nn.Module):
    """DINOv2 with registers (Darcet et al., ICLR 2024): the class's token and the patches', without the registers'.

    Args:
        folder: with ``config.json`` and ``model.safetensors`` of a published model (Apache-2.0); nothing is
            downloaded. Left out, the model is as drawn.
        size: edge of the image that is looked at.
        settings: of the model if there is no folder; see ``Dinov2WithRegistersConfig``.

    Raises:
        InputError: no package transformers, or no model in the folder.
    """

    def __init__(
        self, folder: Path | str | None = None, size: int = 518, settings: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        try:
            from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel
        except ImportError as error:
            remedy = "Install it: pip install 'corfield[sam3d]'."
            raise InputError("DINOv2", "no package transformers", "transformers", remedy) from error
        if folder is None:
            self.backbone = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**(settings or {})))
        else:
            if not (Path(folder) / "config.json").is_file():
                remedy = "Download huggingface.co/facebook/dinov2-with-registers-large (Apache-2.0) into it."
                raise InputError(folder, "no config.json", "a model of transformers", remedy)
            self.backbone = Dinov2WithRegistersModel.from_pretrained(str(folder), local_files_only=True)
        self.size, self.width = size, int(self.backbone.config.hidden_size)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n v"]:
        """Tokens of images of 0 to 1; one channel is shown as three."""
        seen = F.interpolate(image, (self.size, self.size), mode="bilinear", align_corners=False)
        seen = (seen.expand(-1, 3, -1, -1) - self.mean) / self.deviation
        tokens: Tensor = self.backbone(pixel_values=seen).last_hidden_state
        registers = int(self.backbone.config.num_register_tokens)
        return torch.cat([tokens[:, :1], tokens[:, 1 + registers :]], dim=1)


class _WindowAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        answer: Tensor = self.proj(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))
        return answer


class _WindowForward(nn.Module):
    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        answer: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return answer


class _WindowBlock(nn.Module):
    def __init__(self, width: int, heads: int, ratio: int = 2) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = _WindowAttention(width, heads), _WindowForward(width, ratio)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        answer: Tensor = tokens + self.mlp(self.norm2(tokens))
        return answer


class PointPatches(nn.Module):
    """A pointmap's square windows as tokens: the points of a window see each other and tell the window's own token.

    Args:
        size: edge of the map that is looked at (nearest pixels).
        window: edge of a window, a divisor of it.
        width: of a token.
        heads: of the attention within a window.
        depth: blocks.
    """

    def __init__(self, size: int = 256, window: int = 8, width: int = 512, heads: int = 16, depth: int = 1) -> None:
        super().__init__()
        self.size, self.window, self.width = size, window, width
        edge = size // window
        self.point_proj = nn.Linear(3, width)
        self.invalid_xyz_token = nn.Parameter(torch.zeros(width))
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, width, edge, edge))
        self.pos_embed_window = nn.Parameter(0.02 * torch.randn(1, 1 + window * window, width))
        self.blocks = nn.ModuleList([_WindowBlock(width, heads) for _ in range(depth)])

    def forward(self, pointmap: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n v"]:
        """Tokens of a map of points; a point with a coordinate that is not finite is no point."""
        edge, window = self.size // self.window, self.window
        seen = F.interpolate(pointmap, (self.size, self.size), mode="nearest").movedim(1, -1)
        valid = seen.isfinite().all(-1, keepdim=True)
        vectors = torch.where(valid, self.point_proj(torch.where(valid, seen, 0.0)), self.invalid_xyz_token)
        windows = vectors.unflatten(2, (edge, window)).unflatten(1, (edge, window)).transpose(2, 3)
        inside = windows.reshape(-1, window * window, self.width)
        tokens = torch.cat([self.cls_token.expand(len(inside), -1, -1), inside], dim=1) + self.pos_embed_window
        for block in self.blocks:
            tokens = block(tokens)
        own = tokens[:, 0].view(pointmap.shape[0], edge * edge, self.width)
        return own + self.pos_embed.flatten(2).transpose(1, 2)
