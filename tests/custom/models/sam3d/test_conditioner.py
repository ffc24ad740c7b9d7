"""What the flow is told: which tokens there are, on what each depends, and that nothing in it is trained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from custom.errors import InputError
from custom.models.sam3d.conditioner import Conditioner
from custom.models.sam3d.embedders import DinoEmbedder, PatchEmbedder, PointPatches
from custom.models.sam3d.published_names import renamed_conditioner

DINO = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 42,
    "patch_size": 14,
}


def points() -> PointPatches:
    return PointPatches(size=12, window=4, width=10, heads=2)


def conditioner() -> Conditioner:
    torch.manual_seed(3)
    return Conditioner(PatchEmbedder(8, 4, 7), PatchEmbedder(8, 4, 7), points(), width=11, inner=13)


def seen() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(4)
    return torch.rand(2, 1, 17, 19), torch.ones(2, 1, 17, 19), torch.rand(2, 3, 17, 19)


def test_the_tokens_are_those_of_image_mask_and_pointmap_in_a_row() -> None:
    model, (image, mask, pointmap) = conditioner(), seen()
    told = model(image, mask, pointmap)
    assert told.shape == (2, 4 + 4 + 9, 11)
    others = [model(image + 1, mask, pointmap), model(image, 0 * mask, pointmap), model(image, mask, pointmap + 1)]
    moved = [(other - told).abs().amax(dim=(0, 2)) > 1e-5 for other in others]
    assert [[int(part.sum()) for part in each.split([4, 4, 9])] for each in moved] == [[4, 0, 0], [0, 4, 0], [0, 0, 9]]


def test_the_whole_picture_doubles_the_tokens_and_they_differ_from_the_crops() -> None:
    model, views = conditioner(), seen()
    told = model(*views, full=views)
    assert told.shape == (2, 34, 11)
    assert torch.equal(told[:, :4], model(*views)[:, :4])
    assert (told[:, :4] - told[:, 4:8]).abs().max() > 1e-3


def test_nothing_in_it_is_trained() -> None:
    assert not any(parameter.requires_grad for parameter in conditioner().parameters())


def test_a_window_of_a_pointmap_is_one_token_at_its_place() -> None:
    model, pointmap = points(), torch.rand(1, 3, 12, 12)
    moved = pointmap.clone()
    moved[:, :, 5, 10] += 1
    changed = (model(moved) - model(pointmap)).abs().amax(dim=2)[0] > 1e-6
    assert changed.nonzero().flatten().tolist() == [3 * 1 + 2]


def test_a_point_that_is_not_finite_is_no_point_whatever_its_other_coordinates() -> None:
    model, pointmap = points(), torch.rand(1, 3, 12, 12)
    one, other = pointmap.clone(), pointmap.clone()
    one[:, 0, 2, 3], other[:, :, 2, 3] = float("nan"), float("inf")
    assert torch.equal(model(one), model(other))
    assert model(torch.full_like(pointmap, float("nan"))).isfinite().all()


def test_dino_gives_the_tokens_of_class_and_patches_without_the_registers() -> None:
    pytest.importorskip("transformers")
    model = DinoEmbedder(size=42, settings=DINO)
    assert model(torch.rand(2, 1, 17, 19)).shape == (2, 1 + 9, 12)


def test_dino_is_read_from_a_local_folder(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    source = DinoEmbedder(size=42, settings=DINO).eval()
    source.backbone.save_pretrained(tmp_path)
    image = torch.rand(1, 3, 17, 19)
    assert torch.equal(DinoEmbedder(tmp_path, size=42).eval()(image), source(image))


def test_a_folder_without_a_model_is_named_with_what_to_download(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match=r"dinov2-with-registers-large \(Apache-2.0\)"):
        DinoEmbedder(tmp_path)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"corfield\[sam3d\]"):
        DinoEmbedder()


def test_published_names_of_dino_become_those_of_the_conditioner() -> None:
    pytest.importorskip("transformers")
    dino = DinoEmbedder(size=42, settings=DINO)
    wanted = {f"module_list.0.backbone.{name}" for name in dino.backbone.state_dict()}
    layers = ["norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]
    block = [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")] + ["ls1.gamma", "ls2.gamma"]
    names = ["cls_token", "pos_embed", "register_tokens", "mask_token", "patch_embed.proj.weight"]
    names += ["patch_embed.proj.bias"]
    names += ["norm.weight", "norm.bias"] + [f"blocks.{n}.{name}" for n in range(2) for name in block]
    named = renamed_conditioner({f"module_list.0.backbone.{name}": torch.arange(6) for name in names})
    assert named.keys() == wanted
    start = "module_list.0.backbone.encoder.layer.1.attention."
    assert [named[f"{start}{part}_proj.bias"].tolist() for part in "qkv"] == [[0, 1], [2, 3], [4, 5]]
    assert renamed_conditioner({"idx_emb": torch.zeros(1)}).keys() == {"idx_emb"}
