"""What the bundles say of themselves agrees with what they are; more on near_fusion in test_fusion_network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import custom
from custom.anatomy import table
from tests.folder_entries import entries

ROOT = Path(__file__).resolve().parents[2]
FITTED = ("near_stage1", "unified_implicit")
TRAINED = [ROOT / "bundles" / name for name in (*FITTED, "heart_completion", "heart_sam3d_lora")]
THIRD_COLUMN = {"near_stage1": "components", "unified_implicit": "rank"}
"""What a bundle's README says of a structure behind its index and name."""
BUNDLES = sorted(path for path in entries((ROOT / "bundles").iterdir()) if path.is_dir())
SECTIONS = ["Description", "Data", "Preprocessing", "Model", "Training", "Output", "Commands", "Limitations"]
SECTIONS += ["Citation", "References"]
OTHERWISE = {"near_fusion": {"Training": "Rules"}}
"""What a bundle that is not trained has in the place of a section."""


@pytest.fixture(params=BUNDLES, ids=lambda path: path.name)
def each_bundle(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def metadata(each_bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((each_bundle / "configs" / "metadata.json").read_text())
    return content


@pytest.fixture(params=TRAINED, ids=lambda path: path.name)
def trained_bundle(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def train(trained_bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((trained_bundle / "configs" / "train.json").read_text())
    return content


@pytest.fixture
def inference(trained_bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((trained_bundle / "configs" / "inference.json").read_text())
    return content


@pytest.fixture
def readme(trained_bundle: Path) -> str:
    return (trained_bundle / "docs" / "README.md").read_text(encoding="utf-8")


def settings_of(config: dict[str, Any]) -> dict[str, str]:
    """What a user sets, as JSON: top-level plain values, no parts and no expressions."""
    return {
        key: json.dumps(value)
        for key, value in config.items()
        if key not in {"imports", "run"}
        and not isinstance(value, dict)
        and not (isinstance(value, str) and value.startswith("$"))
        and not (isinstance(value, list) and any(isinstance(inner, str | dict) for inner in value))
    }


def explained(readme: str) -> dict[str, str]:
    """Settings and values in the tables of the README, each with a reason."""
    rows = re.findall(r"^\| `(\w+)` \| `(.+?)` \| .{20,} \|$", readme, flags=re.MULTILINE)
    return {name: value.replace(r"\|", "|") for name, value in rows}  # in a table, GitHub wants it so


def test_the_metadata_have_the_version_of_the_package_and_say_what_is_new_in_it(metadata: dict[str, Any]) -> None:
    assert metadata["version"] == custom.__version__
    assert custom.__version__ in metadata["changelog"]


def test_the_metadata_name_the_versions_that_are_tested(metadata: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    # A package may be pinned twice, once for each end of the Pythons.
    pinned = {tuple(line.split(";")[0].strip().split("==")) for line in lines if not line.startswith("#")}
    named = {
        **metadata["required_packages_version"],
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    assert len(pinned) > 50
    assert [pair for pair in named.items() if pair not in pinned] == []


def test_the_metadata_list_the_structures_of_the_bundles_own_table(each_bundle: Path, metadata: dict[str, Any]) -> None:
    own = json.loads((each_bundle / "configs" / "inference.json").read_text())["label_table"]
    structures = ", ".join(f"{structure.index} {structure.name}" for structure in table(own))
    assert metadata["label_classes"] == f"0 background, {structures}"


def test_every_channel_of_the_metadata_is_explained(metadata: dict[str, Any]) -> None:
    tensors = [tensor for group in metadata["network_data_format"].values() for tensor in group.values()]
    assert len(tensors) == 3
    for tensor in tensors:
        assert list(tensor["channel_def"]) == [str(channel) for channel in range(tensor["num_channels"])]


def test_the_sections_of_the_readme_stand_in_the_order_of_the_model_zoo(each_bundle: Path) -> None:
    text = (each_bundle / "docs" / "README.md").read_text(encoding="utf-8")
    wanted = [OTHERWISE.get(each_bundle.name, {}).get(section, section) for section in SECTIONS]
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert [heading for heading in headings if heading in wanted] == wanted


def test_every_bundle_is_swept() -> None:
    assert {"near_stage1", "near_fusion", "unified_implicit"} <= {path.name for path in BUNDLES}


def test_the_readme_gives_every_setting_of_training_with_its_value_and_a_reason(
    readme: str, train: dict[str, Any]
) -> None:
    settings, rows = settings_of(train), explained(readme)
    assert len(settings) > 25
    assert {name: rows.get(name) for name in settings} == settings


def test_the_readme_gives_every_further_setting_of_inference_with_its_value_and_a_reason(
    readme: str, train: dict[str, Any], inference: dict[str, Any]
) -> None:
    rows = explained(readme)
    settings = {name: value for name, value in settings_of(inference).items() if name not in settings_of(train)}
    assert len(settings) > 4
    assert {name: rows.get(name) for name in settings} == settings


def test_inference_and_training_agree_on_the_settings_they_share(
    train: dict[str, Any], inference: dict[str, Any]
) -> None:
    shared = {name: (value, train[name]) for name, value in inference.items() if name in settings_of(train)}
    assert len(shared) > 3
    assert {name: pair for name, pair in shared.items() if pair[0] != pair[1]} == {}


def test_the_readme_lists_the_structures_by_index(readme: str, trained_bundle: Path, inference: dict[str, Any]) -> None:
    column = THIRD_COLUMN.get(trained_bundle.name)
    rows = re.findall(r"^\| (\d+) \| (\w+) \|(?: (\d+) \|)?", readme, flags=re.MULTILINE)
    assert [(int(index), name, int(third or 0)) for index, name, third in rows] == [
        (structure.index, structure.name, getattr(structure, column) if column else 0)
        for structure in table(inference["label_table"])
    ]


def test_every_config_named_in_the_readme_exists(readme: str, trained_bundle: Path) -> None:
    named = set(re.findall(rf"bundles/{trained_bundle.name}/[\w/]+\.(?:json|conf)", readme))
    own = {"fit"} if trained_bundle.name in FITTED else {"train"}
    assert {Path(name).stem for name in named} >= {"train", "inference", "evaluate", "multi_gpu_train", "smoke"} | own
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
