"""The conditioner's names in the published file, as this room and the package transformers name them."""

from __future__ import annotations

import re

from torch import Tensor

_BACKBONE = re.compile(r"(module_list\.[01]\.backbone\.)(.+)")
_WORDS = (
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^(cls_token|register_tokens|mask_token)$", r"embeddings.\1"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.", "encoder.layer."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.ls([12])\.gamma$", r".layer_scale\1.lambda1"),
)


def renamed_conditioner(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state by the names of :class:`~custom.models.sam3d.conditioner.Conditioner` with two embedders by DINOv2.

    DINOv2's queries, keys and values come as one tensor and leave as three. All other names stay.
    """
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        found = _BACKBONE.fullmatch(name)
        if found is None:
            out[name] = tensor
            continue
        start, own = found.groups()
        for pattern, word in _WORDS:
            own = re.sub(pattern, word, own)
        if ".attn.qkv." not in own:
            out[start + own] = tensor
            continue
        for part, piece in zip("qkv", tensor.chunk(3), strict=True):
            out[start + own.replace(".attn.qkv.", f".attention.{part}_proj.")] = piece
    return out
