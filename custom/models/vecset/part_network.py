"""The part-wise variant: every structure has tokens of its own, and is decoded from them alone.

Known: part-wise latent sets with local and global attention in turn (Chen and Fua, "VecHeart", 2026).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...errors import InputError
from .farthest_points import farthest_points
from .placed_network import PlacedNetwork
from .set_network import SetNetwork


class PartNetwork(SetNetwork):
    """As :class:`SetNetwork`, but ``point_queries`` and ``class_tokens`` count for each structure.

    A structure's queries see its own points only; of one that is not shown they see a learned nothing. Blocks of the
    trunk attend within a structure and among all in turn. A point costs as many queries as there are structures.
    """

    def __init__(self, classes: int = 10, width: int = 256, **settings: int | bool) -> None:
        super().__init__(classes, width, **settings)  # type: ignore[arg-type]
        self.nothing = nn.Parameter(0.02 * torch.randn(1, 1, width))

    @property
    def outputs(self) -> int:
        return 1

    @property
    def of_one(self) -> int:
        """Tokens of one structure."""
        return self.point_queries + self.class_tokens

    def encode(self, image: Tensor, input_present: Tensor) -> Tensor:
        points = image[:, :3].transpose(1, 2)
        batch, count = points.shape[0], points.shape[1]
        context = self.embedding(points) + self.said(image)
        own = self.own_points(image) & input_present[:, :, None]
        spread = points[:, None].expand(-1, self.classes, -1, -1).reshape(batch * self.classes, count, 3)
        chosen = farthest_points(spread, self.point_queries, own.flatten(0, 1)).view(batch, -1)
        sampled = context.gather(1, chosen[:, :, None].expand(-1, -1, context.shape[2]))
        sampled = sampled.view(batch, self.classes, self.point_queries, -1) * input_present[:, :, None, None]
        queries = torch.cat([sampled, self.learned(input_present).to(sampled)], dim=2).flatten(1, 2)
        sees = own[:, :, None].expand(-1, -1, self.of_one, -1).flatten(1, 2)
        mask = torch.cat([sees, torch.ones_like(sees[:, :, :1])], dim=2)
        context = torch.cat([context, self.nothing.to(context).expand(batch, -1, -1)], dim=1)
        codes: Tensor = self.bottleneck.squeeze(self.encoder(queries, context, mask))
        return codes

    def think(self, codes: Tensor, input_present: Tensor) -> Tensor:
        batch = codes.shape[0]
        tokens = self.bottleneck.expand(codes).view(batch, self.classes, self.of_one, -1)
        sampled, learned = tokens[:, :, : self.point_queries], tokens[:, :, self.point_queries :]
        tokens = torch.cat([sampled, learned + self.learned(input_present)], dim=2)
        for position, block in enumerate(self.trunk):
            within = position % 2 == 0
            tokens = block(tokens.flatten(0, 1) if within else tokens.flatten(1, 2))
            tokens = tokens.view(batch, self.classes, self.of_one, -1)
        return tokens.flatten(1, 2)

    def answer(self, tokens: Tensor, points: Tensor) -> Tensor:
        batch, count = points.shape[0], points.shape[2]
        asked = self.embedding(points.transpose(1, 2))[:, None].expand(-1, self.classes, -1, -1).flatten(0, 1)
        found = self.decoder(asked, tokens.view(batch * self.classes, self.of_one, -1))
        distances: Tensor = self.head(self.norm(found)).view(batch, self.classes, count).float()
        return distances


VARIANTS = {"channels": SetNetwork, "parts": PartNetwork, "placed": PlacedNetwork}
"""One decoder query gives all distances; each structure is decoded from its own tokens; tokens keep their places."""


def set_network(variant: str = "channels", **settings: int | bool) -> SetNetwork:
    """The network of a variant.

    Args:
        variant: ``channels``, ``parts`` or ``placed``.
        settings: see :class:`SetNetwork`.

    Raises:
        InputError: no such variant, or a width that the heads do not divide.
    """
    if variant not in VARIANTS:
        raise InputError("--variant", repr(variant), f"one of {', '.join(VARIANTS)}", "Choose one of them.")
    width, heads = int(settings.get("width", 256)), int(settings.get("heads", 4))
    if width % heads:
        found, wanted = f"{heads} heads for a width of {width}", "a width that they divide"
        raise InputError("--heads", found, wanted, "Change one of the two.")
    return VARIANTS[variant](**settings)
