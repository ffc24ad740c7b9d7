"""Hearts from one slice, trained by the true configs: stage after stage, broken off and taken up again."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Events
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from custom.errors import InputError
from custom.sam3d.shape_checkpoint import load_model, load_shape_checkpoint, save_whole
from custom.training.checkpoint_file import save_atomically
from tests.bundles.interrupted_training import break_off
from tests.bundles.sam3d_helpers import SMALL, infer, make_cache, train, workflow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def trained(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of all three stages; not to be written to."""
    output_dir = tmp_path_factory.mktemp("trained")
    train(cache, output_dir, "vae")
    train(cache, output_dir, "base")
    train(cache, output_dir)
    return output_dir


def state_of(output_dir: Path, stage: str, name: str = "last.pt") -> dict[str, torch.Tensor]:
    content = load_shape_checkpoint(output_dir / stage / name)
    whole = {f"{part}.{key}": value for part, state in content["parts"].items() for key, value in state.items()}
    return whole | content.get("adapter", {})


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return bool(one) and list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in other)


def refusal(*arguments: Any, **settings: Any) -> str:
    with pytest.raises(InputError) as raised:
        train(*arguments, **settings)
    return str(raised.value)


def scalars(output_dir: Path, stage: str) -> EventAccumulator:
    found = EventAccumulator(str(output_dir / stage / "tensorboard"))
    found.Reload()
    return found


@pytest.mark.parametrize(
    ("stage", "terms"),
    [("vae", {"loss_entropy", "loss_dice", "loss_kl"}), ("base", {"loss_flow"}), ("lora", {"loss_flow"})],
)
def test_every_term_of_a_stages_loss_has_its_name_in_tensorboard(trained: Path, stage: str, terms: set[str]) -> None:
    found = scalars(trained, stage)
    names = set(found.Tags()["scalars"])
    assert {name for name in names if name.startswith("loss_")} == terms
    assert names >= {"train_loss", "learning_rate", "val_loss", "val_dice", "val_dice_heart_myocardium", "untrained"}
    assert [event.step for event in found.Scalars("val_loss")] == [2, 4]


def test_best_is_the_lowest_validation_loss_and_only_the_latest_epochs_stay(cache: Path, tmp_path: Path) -> None:
    train(cache, tmp_path, "vae", max_epochs=5, val_interval=1, keep_epochs=2)
    kept = sorted(path.name for path in (tmp_path / "vae").glob("*.pt"))
    assert kept == ["best.pt", "epoch_0004.pt", "epoch_0005.pt", "last.pt"]
    losses = [event.value for event in scalars(tmp_path, "vae").Scalars("val_loss")]
    assert load_shape_checkpoint(tmp_path / "vae" / "last.pt")["best"] == pytest.approx(min(losses), rel=1e-5)
    assert losses[-1] < losses[0]


def test_a_stage_holds_its_own_parts_and_what_it_was_made_against(trained: Path) -> None:
    contents = {stage: load_shape_checkpoint(trained / stage / "best.pt") for stage in ("vae", "base", "lora")}
    assert {stage: sorted(content["parts"]) for stage, content in contents.items()} == {
        "vae": ["decoder", "encoder"],
        "base": ["conditioner", "flow"],
        "lora": [],
    }
    assert contents["lora"]["made_against"]["base"]["path"] == "../base/best.pt"
    assert contents["lora"]["made_against"]["codec"] == contents["base"]["made_against"]["codec"]
    assert all(".lora_" in name for name in contents["lora"]["adapter"])
    assert {content["untrained"] for content in contents.values()} == {""}


def test_the_share_that_is_trained_is_in_the_run(trained: Path) -> None:
    told = json.loads((trained / "lora" / "run.json").read_text())
    adapter = sum(tensor.numel() for tensor in load_shape_checkpoint(trained / "lora" / "best.pt")["adapter"].values())
    assert told["trained"] == adapter and told["share"] == pytest.approx(adapter / told["parameters"])


def test_adapters_move_from_the_base_and_merge_into_it(trained: Path) -> None:
    model, base = (load_model(trained / "lora" / "last.pt", adapted=adapted) for adapted in (True, False))
    plain = load_model(trained / "base" / "best.pt")
    tokens, time, context = torch.rand(2, 64, 2), torch.rand(2), torch.rand(2, 12, 8)
    with torch.no_grad():
        tuned, untuned = model.flow(tokens, time, context), base.flow(tokens, time, context)
        assert torch.equal(untuned, plain.flow(tokens, time, context))
        change = (tuned - untuned).abs().max()
        assert change > 0
        assert (model.merge().flow(tokens, time, context) - tuned).abs().max() < 0.1 * change


def test_all_parts_in_one_file_draw_what_the_three_draw(trained: Path, tmp_path: Path) -> None:
    save_whole(load_model(trained / "lora" / "best.pt"), trained / "lora" / "best.pt", tmp_path / "whole.pt")
    told = {"image": torch.rand(2, 1, 8, 8), "mask": torch.ones(2, 1, 8, 8), "pointmap": torch.rand(2, 3, 8, 8)}
    one, three = (load_model(path) for path in (tmp_path / "whole.pt", trained / "lora" / "best.pt"))
    assert not one.adapted and three.adapted
    assert torch.allclose(one.draw_shapes(told, steps=4), three.draw_shapes(told, steps=4), atol=1e-4)


@pytest.mark.parametrize("stage", ["vae", "base", "lora"])
@pytest.mark.parametrize(
    "event",
    [
        pytest.param(Events.EPOCH_COMPLETED(once=2), id="after an epoch"),
        pytest.param(Events.ITERATION_COMPLETED(once=5), id="within an epoch"),
    ],
)
def test_a_run_broken_off_and_taken_up_again_equals_an_unbroken_one(
    cache: Path, trained: Path, tmp_path: Path, stage: str, event: Any
) -> None:
    stages = {"codec_from": trained / "vae" / "best.pt", "base_from": trained / "base" / "best.pt"}
    settings = SMALL | stages | {"save_seconds": 0.0, "dataset_dir": cache, "output_dir": tmp_path}
    overlays = [stage] if stage != "lora" else []
    begun = workflow("training", ["train", *overlays, "smoke"], **settings)
    break_off(begun, event)
    assert 0 < load_shape_checkpoint(tmp_path / stage / "last.pt")["epoch"] < 4
    train(cache, tmp_path, *overlays, **stages, save_seconds=0.0)
    for name in ("last.pt", "best.pt"):
        assert same(state_of(tmp_path, stage, name), state_of(trained, stage, name))


def test_without_the_stages_before_random_weights_are_taken_and_the_banner_says_so(
    cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(cache, tmp_path, max_epochs=2)
    assert "UNTRAINED: random weights in encoder, decoder, conditioner, flow" in caplog.text
    content = load_shape_checkpoint(tmp_path / "lora" / "best.pt")
    assert content["untrained"].startswith("UNTRAINED")
    assert json.loads((tmp_path / "lora" / "run.json").read_text())["untrained"] == content["untrained"]
    assert scalars(tmp_path, "lora").Scalars("untrained")[-1].value == 1
    assert load_model(tmp_path / "lora" / "best.pt").adapted  # the random parts lie in the checkpoint itself


def test_mask_and_distances_are_judged_once_they_have_a_weight(cache: Path, trained: Path, tmp_path: Path) -> None:
    stages = {"codec_from": trained / "vae" / "best.pt", "base_from": trained / "base" / "best.pt"}
    train(cache, tmp_path, **stages, mask_weight=0.1, sdf_weight=0.01, decoded_loss_after=0.0)
    found = scalars(tmp_path, "lora")
    last = {name: found.Scalars(f"loss_{name}")[-1].value for name in ("flow", "mask", "sdf")}
    assert min(last.values()) > 0
    total = last["flow"] + 0.1 * last["mask"] + 0.01 * last["sdf"]
    assert found.Scalars("train_loss")[-1].value == pytest.approx(total, rel=1e-4)


def test_with_crops_the_flow_is_told_of_both_views(cache: Path, trained: Path, tmp_path: Path) -> None:
    train(cache, tmp_path, "base", codec_from=trained / "vae" / "best.pt", crop=True, max_epochs=2)
    model = load_model(tmp_path / "base" / "best.pt", trained / "vae" / "best.pt")
    assert model.crop
    assert model.draw_shapes({f"{view}{key}": torch.rand(2, channels, 8, 8) for view in ("", "full_")
                              for key, channels in (("image", 1), ("mask", 1), ("pointmap", 3))}, 2).shape == (
        2, 1, 8, 8, 8
    )  # fmt: skip


def test_a_run_is_not_taken_up_with_other_settings_another_base_or_none(
    cache: Path, trained: Path, tmp_path: Path
) -> None:
    assert "begun with decoded_loss_after = 0.5" in refusal(cache, trained, decoded_loss_after=0.4)
    assert "because resume is false" in refusal(cache, trained, resume=False)
    content = load_shape_checkpoint(trained / "vae" / "best.pt")
    content["parts"]["encoder"]["input_layer.bias"] = content["parts"]["encoder"]["input_layer.bias"] + 1
    save_atomically(content, tmp_path / "other.pt")
    other = {"codec_from": tmp_path / "other.pt", "base_from": trained / "base" / "best.pt"}
    assert "a base made against another codec" in refusal(cache, tmp_path, **other)


def test_what_is_not_there_or_not_it_is_named(cache: Path, trained: Path, tmp_path: Path) -> None:
    assert "none.pt: found no such file" in refusal(cache, tmp_path, codec_from=tmp_path / "none.pt")
    assert "stage base" in refusal(cache, tmp_path, codec_from=trained / "base" / "best.pt")
    assert "of another size" in refusal(cache, tmp_path, codec_from=trained / "vae" / "best.pt", code_channels=3)
    assert "--voxels 8" in refusal(cache, tmp_path, voxels=16)
    assert "ss_encoder" in refusal(cache, tmp_path, weights_dir=tmp_path)
    save_atomically({"format": "another"}, tmp_path / "other.pt")
    assert "a file of format 'another'" in refusal(cache, tmp_path, codec_from=tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stage", "whole"),
        ("lora_rank", 0),
        ("lora_targets", "("),
        ("shape_weight", 0),
        ("axes", [3]),
        ("unconditional_share", 1.5),
        ("points_per_case", 100),
    ],
)
def test_a_setting_that_no_run_can_use_is_refused_by_name(cache: Path, tmp_path: Path, name: str, value: Any) -> None:
    assert refusal(cache, tmp_path, **{name: value}).startswith(f"--{name}: found ")


def test_a_heart_is_drawn_where_its_cube_lies(cache: Path, trained: Path, tmp_path: Path) -> None:
    infer(cache, trained, maps_dir=tmp_path / "maps", save_meshes=True)
    drawn = nib.load(tmp_path / "maps" / "s0005.nii.gz")
    labels = np.asarray(drawn.dataobj)
    assert labels.shape == (8, 8, 8) and set(np.unique(labels)) <= {0, 2, 5}
    wanted = [[3, 0, 0, -7], [0, 0, -3, 11], [0, 3, 0, 5], [0, 0, 0, 1]]
    assert np.allclose(drawn.affine, wanted)
    assert len(list((tmp_path / "maps" / "meshes").glob("s0005/*.obj"))) == len(set(np.unique(labels)) - {0})
