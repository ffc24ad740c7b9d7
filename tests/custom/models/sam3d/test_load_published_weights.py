"""Published weights are loaded completely or not at all, and what is missing is named with where to get it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from custom.errors import InputError
from custom.models.sam3d.flow_transformer import SparseFlow
from custom.models.sam3d.load_published_weights import load_published
from custom.models.sam3d.network_sizes import TINY
from custom.models.sam3d.occupancy_vae import StructureEncoder
from custom.models.sam3d.weights_origin import is_untrained, log_banner, origin, untrained_banner

SMALL = {"grid": 2, "code_channels": 3, "width": 28, "context_width": 11, "depth": 2, "heads": 2}
PREFIX = "_base_models.generator.reverse_fn.backbone."


def wrapped(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """The flow's weights as they are published: half precision for brevity, in a wrapper, beside another model's."""
    state = {PREFIX + name: tensor.half() for name, tensor in model.state_dict().items()}
    return {
        "state_dict": state | {"_base_models.decoder.one": torch.zeros(2), "_base_models.decoder.two": torch.ones(3)}
    }


def test_wrapper_and_prefix_are_stripped_and_what_is_left_aside_is_counted_by_group(tmp_path: Path) -> None:
    torch.save(wrapped(source := SparseFlow(**SMALL, pose=True)), tmp_path / "ss_generator.ckpt")
    flow = SparseFlow(**SMALL)
    report = load_published(flow, "flow", tmp_path)
    assert report.loaded == len(flow.state_dict())
    assert report.ignored == {"_base_models.decoder": 2, "pose": 4 * 5 + 2 * 18}
    weight = flow.blocks[1].cross_attn["shape"].to_kv.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, source.blocks[1].cross_attn["shape"].to_kv.weight.half().float())


def test_a_module_with_the_pose_takes_the_pose(tmp_path: Path) -> None:
    torch.save(wrapped(SparseFlow(**SMALL, pose=True)), tmp_path / "ss_generator.ckpt")
    report = load_published(SparseFlow(**SMALL, pose=True), "flow", tmp_path)
    assert report.ignored == {"_base_models.decoder": 2}


def test_a_placeholder_is_passed_over_for_a_file_with_weights(tmp_path: Path) -> None:
    (tmp_path / "ss_encoder.safetensors").touch()
    source = StructureEncoder(**TINY["encoder"])
    save_file(dict(source.state_dict()), tmp_path / "ss_enc_conv3d_16l8_fp16.safetensors")
    encoder = StructureEncoder(**TINY["encoder"])
    load_published(encoder, "encoder", tmp_path)
    assert torch.equal(encoder.input_layer.weight, source.input_layer.weight)
    assert origin(encoder) == "published ss_enc_conv3d_16l8_fp16.safetensors"


def test_a_placeholder_alone_is_named_with_what_to_download_and_under_which_licence(tmp_path: Path) -> None:
    (tmp_path / "ss_encoder.safetensors").touch()
    with pytest.raises(InputError, match="placeholder of 0 bytes.*Download ss_encoder.ckpt.*SAM License.*MIT"):
        load_published(StructureEncoder(**TINY["encoder"]), "encoder", tmp_path)


def test_a_missing_file_is_named_with_what_to_download(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"wanted ss_generator\.ckpt.*Download ss_generator.ckpt \(6,690,136,964"):
        load_published(SparseFlow(**SMALL), "flow", tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"depth": 3}, "missing"),
        ({"depth": 1}, "too many"),
        ({"context_width": 13}, "of another shape"),
    ],
)
def test_weights_of_other_sizes_are_refused_and_nothing_is_changed(
    tmp_path: Path, change: dict[str, int], told: str
) -> None:
    torch.save(wrapped(SparseFlow(**SMALL)), tmp_path / "ss_generator.ckpt")
    flow = SparseFlow(**(SMALL | change))
    before = flow.t_embedder.mlp[0].weight.clone()
    with pytest.raises(InputError, match=told):
        load_published(flow, "flow", tmp_path)
    assert torch.equal(flow.t_embedder.mlp[0].weight, before)
    assert is_untrained(flow)


def test_a_file_that_holds_more_than_tensors_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": {"module": nn.Linear(2, 3)}}, tmp_path / "ss_generator.ckpt")
    with pytest.raises(InputError, match="does not open"):
        load_published(SparseFlow(**SMALL), "flow", tmp_path)


@pytest.mark.parametrize("name", ["ss_encoder.safetensors", "ss_encoder.ckpt"])
def test_a_file_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(InputError, match="does not open"):
        load_published(StructureEncoder(**TINY["encoder"]), "encoder", tmp_path)


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of encoder, decoder, flow, conditioner"):
        load_published(SparseFlow(**SMALL), "slat", tmp_path)


def test_the_banner_names_the_parts_with_random_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A config of logging that another test has read may have silenced it.
    monkeypatch.setattr(logging.getLogger("custom.models.sam3d.weights_origin"), "disabled", False)
    torch.save(wrapped(SparseFlow(**SMALL)), tmp_path / "ss_generator.ckpt")
    parts = {"encoder": StructureEncoder(**TINY["encoder"]), "flow": SparseFlow(**SMALL)}
    load_published(parts["flow"], "flow", tmp_path)
    with caplog.at_level(logging.WARNING):
        log_banner(parts)
    assert "UNTRAINED: random weights in encoder;" in caplog.text
    assert is_untrained(*parts.values()) and not is_untrained(parts["flow"])
    assert untrained_banner({"flow": parts["flow"]}) is None
