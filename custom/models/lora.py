"""Low-rank adapters (Hu et al., "LoRA", ICLR 2022) on the attention of a frozen network, by PEFT (requirement C3)."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from ..errors import InputError

SHAPE_ATTENTION = r"blocks\.\d+\.(self_attn\.(to_qkv|to_out)\.shape|cross_attn\.shape\.(to_q|to_kv|to_out))"
"""The linear layers of the shape's stream in a sparse flow: five a block, as one expression for their whole names.

A list of names would not do: inside self-attention the layer that bears the name holds one layer for each stream.
"""


def _peft() -> ModuleType:
    try:
        import peft
    except ImportError as error:
        remedy = "Install it: pip install 'corfield[sam3d]'."
        raise InputError("LoRA", "no package peft", "peft, transformers and accelerate", remedy) from error
    module: ModuleType = peft
    return module


def add_lora(
    model: nn.Module,
    rank: int = 8,
    alpha: float | int = 16,
    dropout: float | int = 0.0,
    targets: str = SHAPE_ATTENTION,
) -> nn.Module:
    """The model with adapters, called as before; its answer is unchanged until they are trained.

    The model is changed in place: only its adapters can be trained from now on.

    Args:
        model: any module.
        rank: of an adapter.
        alpha: an adapter is added times ``alpha / rank``.
        dropout: of what goes into an adapter.
        targets: a regular expression for the whole names of linear layers.

    Raises:
        InputError: no package peft, no layer of such a name, or a rank that is not positive.
    """
    peft = _peft()
    if rank < 1:
        raise InputError("rank", str(rank), "at least 1", "Choose a positive rank.")
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets, bias="none", init_lora_weights=True
    )
    try:
        adapted: nn.Module = peft.get_peft_model(model, config)
    except ValueError as error:
        found = f"no linear layer named as {targets!r}"
        raise InputError("LoRA", found, "at least one", "Change the regular expression.") from error
    return adapted


def adapter_state(adapted: nn.Module) -> dict[str, Tensor]:
    """The adapters' tensors alone, on the CPU: a checkpoint of a few megabytes."""
    state: dict[str, Tensor] = _peft().get_peft_model_state_dict(adapted)
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def load_adapter_state(adapted: nn.Module, state: dict[str, Tensor]) -> None:
    """Put back what :func:`adapter_state` gave, completely or not at all.

    Raises:
        InputError: another set of adapters, or another rank.
    """
    own = adapter_state(adapted)
    wrong = sorted(own.keys() ^ state.keys())
    wrong += sorted(name for name in own.keys() & state.keys() if own[name].shape != state[name].shape)
    if wrong:
        found = f"{len(wrong)} tensors that do not fit (such as {wrong[0]})"
        remedy = "Set the rank and the layers that the adapter was trained with."
        raise InputError("adapter", found, f"the {len(own)} of this model", remedy)
    _peft().set_peft_model_state_dict(adapted, state)


def merged(adapted: nn.Module) -> nn.Module:
    """A copy of the model, of its first type and names, with the adapters added into its weights."""
    twin: Any = copy.deepcopy(adapted)
    model: nn.Module = twin.merge_and_unload()
    return model


def parameter_counts(model: nn.Module) -> tuple[int, int]:
    """Parameters that can be trained, and all."""
    numbers = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(count for count, trained in numbers if trained), sum(count for count, _ in numbers)
