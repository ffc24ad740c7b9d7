"""heart_completion keeps MONAI's contract, and says of itself what it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import verify_metadata, verify_net_in_out

from custom.anatomy import table
from custom.completion.hide_structures import SCHEMES
from custom.doctor.check_bundle import check_bundle
from custom.models.vecset.part_network import set_network
from custom.models.vecset.set_network import SetNetwork
from custom.phantoms.write_cohort import make_cohort
from tests.bundles.completion_helpers import BUNDLE, train, workflow
from tests.bundles.test_bundle_documents import explained, settings_of

CONFIGS = BUNDLE / "configs"
METADATA = CONFIGS / "metadata.json"
SCHEMA = Path(__file__).resolve().parents[1] / "data" / "meta_schema_20240725.json"
SCHEMA_MD5 = "76e1add273836515d0bbb3bc71962474"
README = (BUNDLE / "docs" / "README.md").read_text(encoding="utf-8")


def config(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
    return content


@pytest.fixture(scope="module")
def clouded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clouded")
    make_cohort(folder, cases=2, size=32)
    return folder


@pytest.fixture(scope="module")
def trained(clouded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output_dir = tmp_path_factory.mktemp("trained")
    train(clouded, output_dir, max_epochs=1, val_interval=1)
    return output_dir


def test_the_bundle_has_no_fault() -> None:
    assert check_bundle(BUNDLE).faults == ()


def test_the_metadata_follow_the_schema_they_name() -> None:
    assert json.loads(METADATA.read_text())["schema"].endswith(f"/{SCHEMA.name}")
    verify_metadata(meta_file=str(METADATA), filepath=str(SCHEMA), hash_val=SCHEMA_MD5)


def test_training_has_every_property_monai_asks_for(clouded: Path, tmp_path: Path) -> None:
    settings = {"dataset_dir": clouded / "truth", "clouds_dir": clouded / "clouds", "output_dir": tmp_path}
    training = workflow("training", ["train", "smoke"], **settings)
    training.initialize()
    assert not training.check_properties()
    assert training.max_epochs == 4
    assert isinstance(training.network_def, SetNetwork) and training.network_def.classes == 10


@pytest.mark.parametrize(("run_id", "overlays"), [("infer", []), ("evaluate", ["evaluate"])])
def test_inference_has_every_property_monai_asks_for(
    clouded: Path, trained: Path, run_id: str, overlays: list[str]
) -> None:
    asking = workflow(run_id, ["inference", *overlays], dataset_dir=clouded / "truth", output_dir=trained)
    asking.initialize()
    assert not asking.check_properties()
    assert isinstance(asking.network_def, SetNetwork)
    assert [item["case"] for item in asking.dataset_data] == ["phantom_000", "phantom_001"]


def test_the_network_takes_and_gives_what_the_metadata_say(clouded: Path, trained: Path) -> None:
    shared: dict[str, Any] = {"net_id": "network_def", "meta_file": str(METADATA), "device": "cpu"}
    verify_net_in_out(config_file=str(CONFIGS / "train.json"), any=17, **shared)
    verify_net_in_out(config_file=str(CONFIGS / "inference.json"), any=13, output_dir=str(trained), **shared)


def test_the_channels_are_the_structures_in_the_order_of_their_indices() -> None:
    described = json.loads(METADATA.read_text())["network_data_format"]
    channels = described["outputs"]["pred"]["channel_def"]
    assert [text.split(":")[0] for text in channels.values()] == list(table().names)
    kinds = list(described["inputs"]["image"]["channel_def"].values())[3:13]
    assert [re.findall(r"surface of (\w+)", text) for text in kinds] == [[name] for name in table().names]


@pytest.mark.parametrize(("size", "millions"), [("tiny", 0.4), ("small", 8.5), ("base", 34), ("vecsetx", 424)])
def test_the_sizes_have_as_many_parameters_as_the_readme_says(size: str, millions: float) -> None:
    network = {key: value for key, value in (config("train") | config(f"sizes/{size}")).items() if key in NETWORK}
    with torch.device("meta"):
        built = set_network(**network)
    count = sum(parameter.numel() for parameter in built.parameters())
    assert count == pytest.approx(1e6 * millions, rel=0.1)
    (told,) = re.findall(rf"`sizes/{size}.json` \| ([\d.]+) million", README)
    assert count == pytest.approx(1e6 * float(told), rel=0.1)


NETWORK = {
    "variant", "width", "heads", "depth", "point_queries", "class_tokens", "latent_channels", "octaves",
    "decoder_feedforward", "decoder_residual", "normals",
}  # fmt: skip


def test_the_size_of_train_is_small() -> None:
    small = config("sizes/small")
    assert {key: config("train")[key] for key in small} == small


def test_the_readme_gives_every_setting_with_its_value_and_a_reason() -> None:
    rows, train_settings = explained(README), settings_of(config("train"))
    assert len(train_settings) > 45
    assert {name: rows.get(name) for name in train_settings} == train_settings
    further = {key: value for key, value in settings_of(config("inference")).items() if key not in train_settings}
    assert len(further) > 4
    assert {name: rows.get(name) for name in further} == further


def test_inference_and_training_agree_on_the_settings_they_share() -> None:
    here, there = config("inference"), settings_of(config("train"))
    shared = {name: (value, config("train")[name]) for name, value in here.items() if name in there}
    assert len(shared) > 6
    assert {name: pair for name, pair in shared.items() if pair[0] != pair[1]} == {}


def test_the_readme_names_the_structures_the_schemes_and_configs_that_exist() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|$", README, flags=re.MULTILINE)
    assert [(int(index), name) for index, name in rows] == [(one.index, one.name) for one in table()]
    assert [scheme for scheme in SCHEMES if f"`{scheme}`" not in README] == []
    named = set(re.findall(r"bundles/heart_completion/configs/([\w/]+)\.json", README))
    assert named >= {"train", "smoke", "phase1", "phase4", "inference", "evaluate", "multi_gpu_train", "sizes/base"}
    assert [name for name in sorted(named) if not (CONFIGS / f"{name}.json").is_file()] == []
