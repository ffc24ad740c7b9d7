"""The published files: what each is called, where it comes from, under which licence."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError

_SAM = "huggingface.co/facebook/sam-3d-objects (access on request, SAM License of 19 November 2025)"
_TRELLIS = "huggingface.co/microsoft/TRELLIS-image-large (MIT)"
_BASE = "_base_models."


@dataclass(frozen=True)
class PublishedPart:
    """One part of the model and the files that can hold it.

    Attributes:
        files: names in the order of preference; the first that is there is taken.
        prefix: what stands before the part's own names inside the file.
        source: what to download, under which licence.
    """

    files: tuple[str, ...]
    prefix: str
    source: str


PARTS = {
    "encoder": PublishedPart(
        ("ss_encoder.safetensors", "ss_encoder.ckpt", "ss_enc_conv3d_16l8_fp16.safetensors"),
        "",
        f"ss_encoder.ckpt (119,085,402 bytes) from {_SAM}, or ss_enc_conv3d_16l8_fp16.safetensors from {_TRELLIS}",
    ),
    "decoder": PublishedPart(
        ("ss_decoder.ckpt", "ss_decoder.safetensors", "ss_dec_conv3d_16l8_fp16.safetensors"),
        "",
        f"ss_decoder.ckpt (147,609,242 bytes) from {_SAM}, or ss_dec_conv3d_16l8_fp16.safetensors from {_TRELLIS}",
    ),
    "flow": PublishedPart(
        ("ss_generator.ckpt",),
        f"{_BASE}generator.reverse_fn.backbone.",
        f"ss_generator.ckpt (6,690,136,964 bytes) from {_SAM}",
    ),
    "conditioner": PublishedPart(
        ("ss_generator.ckpt",),
        f"{_BASE}condition_embedder.",
        f"ss_generator.ckpt (6,690,136,964 bytes) from {_SAM}",
    ),
}
"""The parts of the first stage; the second (``slat_*``) draws surfaces, which no measure here needs."""


def published_part(name: str) -> PublishedPart:
    """The part of a name.

    Raises:
        InputError: no such part.
    """
    if name not in PARTS:
        raise InputError("part", repr(name), f"one of {', '.join(PARTS)}", "Choose one of them.")
    return PARTS[name]
