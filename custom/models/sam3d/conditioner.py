"""What the flow is told: image, mask and pointmap of what was seen, as one row of tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

VIEWS = ("cropped", "full")
"""The object's own window, and the whole picture."""


class GatedProjection(nn.Module):
    """A gated SiLU layer (SwiGLU, Shazeer 2020) without bias."""

    def __init__(self, width: int, inner: int, out: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, inner, bias=False)
        self.w2 = nn.Linear(inner, out, bias=False)
        self.w3 = nn.Linear(width, inner, bias=False)

    def forward(self, tokens: Float[Tensor, "b n v"]) -> Float[Tensor, "b n w"]:
        answer: Tensor = self.w2(F.silu(self.w1(tokens)) * self.w3(tokens))
        return answer


class Conditioner(nn.Module):
    """Embedders and fuser. Every token knows which view it is of.

    Args:
        image: embedder of images, with ``width``; :class:`~custom.models.sam3d.embedders.DinoEmbedder` is the
            published one.
        mask: embedder of masks.
        pointmap: embedder of pointmaps; :class:`~custom.models.sam3d.embedders.PointPatches`.
        width: of the tokens that come out.
        inner: of the projections.
        frozen: whether nothing in it is trained.
    """

    def __init__(
        self, image: nn.Module, mask: nn.Module, pointmap: nn.Module, width: int, inner: int, frozen: bool = True
    ) -> None:
        super().__init__()
        self.module_list = nn.ModuleList([image, mask, pointmap])
        widths = [int(getattr(module, "width")) for module in self.module_list]  # noqa: B009
        self.projection_nets = nn.ModuleList(
            [nn.Sequential(nn.LayerNorm(each), GatedProjection(each, inner, width)) for each in widths]
        )
        self.idx_emb = nn.Parameter(0.02 * torch.randn(3, width))
        if frozen:
            self.requires_grad_(False)

    def forward(
        self,
        image: Float[Tensor, "b c h w"],
        mask: Float[Tensor, "b 1 h w"],
        pointmap: Float[Tensor, "b 3 h w"],
        full: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> Float[Tensor, "b n v"]:
        """Tokens of all inputs in a row: image, mask, pointmap, of each first the crop, then the whole picture.

        Args:
            image: 0 to 1.
            mask: 0 or 1.
            pointmap: coordinates of every pixel, not finite off the object.
            full: the same three of the whole picture, if there is one.
        """
        rows = []
        for place, cropped in enumerate((image, mask, pointmap)):
            for view, seen in enumerate([cropped] if full is None else [cropped, full[place]]):
                tokens = self.projection_nets[place](self.module_list[place](seen))
                rows.append(tokens + self.idx_emb[view])
        return torch.cat(rows, dim=1)
