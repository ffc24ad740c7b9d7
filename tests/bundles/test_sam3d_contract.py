"""heart_sam3d_lora keeps MONAI's contract, and says of itself what it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import verify_metadata, verify_net_in_out

from custom.anatomy import TOTALSEGMENTATOR_HEART
from custom.doctor.check_bundle import check_bundle
from custom.models.lora import SHAPE_ATTENTION
from custom.models.sam3d.network_sizes import FULL
from custom.sam3d.shape_model import ShapeModel, build_parts
from tests.bundles.sam3d_helpers import BUNDLE, SMALL, make_cache, train, workflow
from tests.bundles.test_bundle_documents import explained, settings_of

CONFIGS = BUNDLE / "configs"
METADATA = CONFIGS / "metadata.json"
SCHEMA = Path(__file__).resolve().parents[1] / "data" / "meta_schema_20240725.json"
SCHEMA_MD5 = "76e1add273836515d0bbb3bc71962474"
README = (BUNDLE / "docs" / "README.md").read_text(encoding="utf-8")


def config(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
    return content


def sizes_of(*names: str) -> dict[str, Any]:
    merged = {key: value for name in ("train", *names) for key, value in config(name).items()}
    return {key: merged[key] for key in config("train")["sizes"]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def trained(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output_dir = tmp_path_factory.mktemp("trained")
    train(cache, output_dir, max_epochs=1, val_interval=1)
    return output_dir


def test_the_bundle_has_no_fault() -> None:
    assert check_bundle(BUNDLE).faults == ()


def test_the_metadata_follow_the_schema_they_name() -> None:
    assert json.loads(METADATA.read_text())["schema"].endswith(f"/{SCHEMA.name}")
    verify_metadata(meta_file=str(METADATA), filepath=str(SCHEMA), hash_val=SCHEMA_MD5)


@pytest.mark.parametrize("overlays", [[], ["vae"], ["base"]])
def test_training_has_every_property_monai_asks_for(cache: Path, tmp_path: Path, overlays: list[str]) -> None:
    settings = SMALL | {"dataset_dir": cache, "output_dir": tmp_path}
    training = workflow("training", ["train", *overlays, "smoke"], **settings)
    training.initialize()
    assert not training.check_properties()
    assert training.max_epochs == 4
    assert isinstance(training.network_def, ShapeModel)
    assert training.network_def.stage == (overlays or ["lora"])[0]


def test_inference_has_every_property_monai_asks_for(cache: Path, trained: Path) -> None:
    asking = workflow("infer", ["inference"], dataset_dir=cache, output_dir=trained, least_pixels=2)
    asking.initialize()
    assert not asking.check_properties()
    assert [item["case"] for item in asking.dataset_data] == ["s0005"]


def test_the_network_takes_and_gives_what_the_metadata_say(cache: Path, tmp_path: Path) -> None:
    shared: dict[str, Any] = {"net_id": "network_def", "meta_file": str(METADATA), "device": "cpu"}
    verify_net_in_out(config_file=str(CONFIGS / "train.json"), output_dir=str(tmp_path), **shared)


def test_the_adapters_are_on_all_attention_of_the_shape() -> None:
    assert config("train")["lora_targets"] == SHAPE_ATTENTION
    assert (config("train")["lora_rank"], config("train")["lora_alpha"]) == (8, 16)


def test_the_full_size_is_the_published_one() -> None:
    sizes = sizes_of("sizes/full")
    with torch.device("meta"):
        parts = build_parts(sizes | {"embedder": "patches", "image_size": 28})
    counts = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
    assert (counts["encoder"], counts["decoder"], counts["flow"]) == (59_298_192, 73_671_201, 556_856_328)
    assert sizes["voxels"] // parts["encoder"].factor == FULL["flow"]["grid"]


@pytest.mark.parametrize(("size", "millions"), [("sizes/tiny", 1.09), ("train", 7.9)])
def test_the_sizes_have_as_many_parameters_as_the_readme_says(size: str, millions: float) -> None:
    model = ShapeModel(sizes_of(size))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == pytest.approx(1e6 * millions, rel=0.02)
    assert f"| `{size}.json` | {model.voxels} | {model.grid}³ x {model.sizes['code_channels']} | {millions}" in README


def test_the_readme_gives_every_setting_with_its_value_and_a_reason() -> None:
    rows, train_settings = explained(README), settings_of(config("train"))
    assert len(train_settings) > 55
    assert {name: rows.get(name) for name in train_settings} == train_settings
    further = {key: value for key, value in settings_of(config("inference")).items() if key not in train_settings}
    assert len(further) > 4
    assert {name: rows.get(name) for name in further} == further


def test_inference_and_training_agree_on_the_settings_they_share() -> None:
    here, there = config("inference"), settings_of(config("train"))
    shared = {name: (value, config("train")[name]) for name, value in here.items() if name in there}
    assert len(shared) > 6
    assert {name: pair for name, pair in shared.items() if pair[0] != pair[1]} == {}


def test_the_readme_names_the_structures_and_configs_that_exist() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|$", README, flags=re.MULTILINE)
    assert [(int(index), name) for index, name in rows] == [(one.index, one.name) for one in TOTALSEGMENTATOR_HEART]
    named = set(re.findall(r"bundles/heart_sam3d_lora/configs/([\w/]+)\.json", README))
    assert named >= {"train", "smoke", "vae", "base", "inference", "evaluate", "multi_gpu_train", "sizes/full"}
    assert [name for name in sorted(named) if not (CONFIGS / f"{name}.json").is_file()] == []
