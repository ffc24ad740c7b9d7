"""Adapters: where they sit, that they change nothing at first, that they can be kept alone and merged."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("peft")

from custom.errors import InputError
from custom.models.lora import adapter_state, add_lora, load_adapter_state, merged, parameter_counts
from custom.models.sam3d.flow_transformer import SparseFlow
from custom.models.sam3d.network_sizes import FULL
from custom.models.sam3d.weights_origin import is_untrained, origin, record_origin

SMALL = {"grid": 2, "code_channels": 3, "width": 28, "context_width": 11, "depth": 2, "heads": 2}


def flow() -> SparseFlow:
    """A flow none of whose parts is 0 any more."""
    torch.manual_seed(5)
    model = SparseFlow(**SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def ask(model: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    codes, context = torch.randn(2, 8, 3, generator=generator), torch.randn(2, 5, 11, generator=generator)
    return model(codes, torch.tensor([0.2, 0.7]), context)


def trained(model: nn.Module, steps: int = 3) -> nn.Module:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        (ask(model) - 1).square().mean().backward()
        optimizer.step()
    return model


def test_adapters_leave_the_answer_unchanged_at_the_start() -> None:
    plain = ask(flow())
    assert torch.equal(ask(add_lora(flow())), plain)


def test_the_merged_model_answers_as_the_adapted_and_bears_the_plain_names() -> None:
    adapted = trained(add_lora(flow()))
    one = merged(adapted)
    assert (ask(adapted) - ask(flow())).abs().max() > 1e-2
    assert torch.allclose(ask(one), ask(adapted), atol=1e-5)
    assert type(one) is SparseFlow
    assert one.state_dict().keys() == flow().state_dict().keys()


def test_training_moves_the_adapters_and_nothing_else() -> None:
    before = flow().state_dict()
    adapted = trained(add_lora(flow()))
    after = {name.removeprefix("base_model.model."): value for name, value in adapted.state_dict().items()}
    kept = {name.replace(".base_layer", ""): value for name, value in after.items() if "lora_" not in name}
    assert kept.keys() == before.keys()
    assert all(torch.equal(kept[name], before[name]) for name in before)


def test_the_adapters_alone_carry_over_all_that_was_learned() -> None:
    adapted = trained(add_lora(flow()))
    state = adapter_state(adapted)
    other = add_lora(flow())
    load_adapter_state(other, state)
    assert torch.equal(ask(other), ask(adapted))
    assert all("lora_" in name for name in state)
    assert sum(tensor.numel() for tensor in state.values()) == parameter_counts(adapted)[0]


def test_each_block_has_five_adapted_layers_in_the_shapes_stream_and_none_in_the_poses() -> None:
    adapted = add_lora(SparseFlow(**SMALL, pose=True))
    names = {name.rpartition(".lora_A")[0] for name in adapter_state(adapted) if ".lora_A" in name}
    assert len(names) == 5 * 2
    assert not any("6drotation" in name for name in names)


def test_adapters_of_the_published_size_are_2_555_904_numbers_of_rank_8() -> None:
    with torch.device("meta"):
        counts = parameter_counts(add_lora(SparseFlow(**FULL["flow"])))
    assert counts == (2_555_904, 556_856_328 + 2_555_904)


def test_adapters_of_another_rank_are_not_taken() -> None:
    with pytest.raises(InputError, match="do not fit"):
        load_adapter_state(add_lora(flow(), rank=3), adapter_state(add_lora(flow())))


def test_an_expression_that_names_no_layer_is_named() -> None:
    with pytest.raises(InputError, match="no linear layer named as 'to_qkv'"):
        add_lora(flow(), targets="to_qkv")


def test_a_rank_of_0_is_named() -> None:
    with pytest.raises(InputError, match="at least 1"):
        add_lora(flow(), rank=0)


def test_an_adapted_model_keeps_the_origin_of_the_weights_below() -> None:
    model = flow()
    assert is_untrained(add_lora(flow()))
    record_origin(model, "published file")
    assert origin(add_lora(model)) == "published file"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"corfield\[sam3d\]"):
        add_lora(flow())
