"""The networks of heart_completion have the sizes that its README gives; its channels are the structures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from custom.anatomy import table
from custom.completion.hide_structures import SCHEMES
from custom.models.vecset.part_network import set_network
from tests.bundles.completion_helpers import BUNDLE

CONFIGS = BUNDLE / "configs"
METADATA = CONFIGS / "metadata.json"
SCHEMA = Path(__file__).resolve().parents[1] / "data" / "meta_schema_20240725.json"
SCHEMA_MD5 = "76e1add273836515d0bbb3bc71962474"
README = (BUNDLE / "docs" / "README.md").read_text(encoding="utf-8")


def config(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
    return content


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


def test_the_readme_names_the_structures_the_schemes_and_configs_that_exist() -> None:
    rows = re.findall(r"^\| (\d+) \| (\w+) \|$", README, flags=re.MULTILINE)
    assert [(int(index), name) for index, name in rows] == [(one.index, one.name) for one in table()]
    assert [scheme for scheme in SCHEMES if f"`{scheme}`" not in README] == []
    named = set(re.findall(r"bundles/heart_completion/configs/([\w/]+)\.json", README))
    assert named >= {"train", "smoke", "phase1", "phase4", "inference", "evaluate", "multi_gpu_train", "sizes/base"}
    assert [name for name in sorted(named) if not (CONFIGS / f"{name}.json").is_file()] == []
