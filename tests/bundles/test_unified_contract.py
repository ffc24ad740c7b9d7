"""unified_implicit keeps MONAI's contract, and says of itself what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import verify_metadata, verify_net_in_out

from custom.anatomy import table
from custom.models.near.near_field import NearField
from custom.phantoms.write_cohort import make_cohort
from tests.bundles.unified_helpers import BUNDLE, train, workflow

METADATA = BUNDLE / "configs" / "metadata.json"
SCHEMA = Path(__file__).resolve().parents[1] / "data" / "meta_schema_20240725.json"
SCHEMA_MD5 = "76e1add273836515d0bbb3bc71962474"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, cases=2, size=32)
    return folder


@pytest.fixture(scope="module")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output_dir = tmp_path_factory.mktemp("trained")
    train(cohort / "labels", output_dir, max_epochs=2, val_interval=1)
    return output_dir


def test_the_metadata_follow_the_schema_they_name() -> None:
    assert json.loads(METADATA.read_text())["schema"].endswith(f"/{SCHEMA.name}")
    verify_metadata(meta_file=str(METADATA), filepath=str(SCHEMA), hash_val=SCHEMA_MD5)


def test_training_has_every_property_monai_asks_for(cohort: Path, tmp_path: Path) -> None:
    training = workflow("training", ["train", "smoke"], dataset_dir=cohort / "labels", output_dir=tmp_path)
    training.initialize()
    assert not training.check_properties()
    assert training.max_epochs == 4
    assert isinstance(training.network_def, NearField) and training.network_def.outputs == 10


@pytest.mark.parametrize(
    ("run_id", "overlays"), [("infer", []), ("evaluate", ["evaluate"]), ("calibrate", ["calibrate"])]
)
def test_inference_has_every_property_monai_asks_for(
    cohort: Path, trained: Path, run_id: str, overlays: list[str]
) -> None:
    settings = {"output_dir": trained, "dataset_dir": cohort / "labels", "reference_dir": cohort / "truth"}
    asking = workflow(run_id, ["inference", *overlays], **settings)
    asking.initialize()
    assert not asking.check_properties()
    assert isinstance(asking.network_def, NearField)
    assert [item["case"] for item in asking.dataset_data] == ["phantom_000", "phantom_001"]


def test_the_network_takes_and_gives_what_the_metadata_say(cohort: Path, trained: Path) -> None:
    shared: dict[str, Any] = {"net_id": "network_def", "meta_file": str(METADATA), "device": "cpu"}
    configs = BUNDLE / "configs"
    labels = str(cohort / "labels")
    verify_net_in_out(config_file=str(configs / "train.json"), any=17, dataset_dir=labels, **shared)
    verify_net_in_out(config_file=str(configs / "inference.json"), any=13, output_dir=str(trained), **shared)


def test_the_channels_are_the_structures_in_the_order_of_their_indices() -> None:
    channels = json.loads(METADATA.read_text())["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert [text.split(":")[0] for text in channels.values()] == list(table().names)
