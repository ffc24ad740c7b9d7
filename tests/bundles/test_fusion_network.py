"""The network of near_fusion as MONAI's tools check and export it, and what its README and metadata say of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import verify_net_in_out

from custom.anatomy import ADJUSTABLE, Structure, table
from custom.rules.priority_fusion import PriorityFusion
from custom.rules.rule_types import RULES

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "near_fusion"
METADATA = BUNDLE / "configs" / "metadata.json"
SCHEMA = ROOT / "tests" / "data" / "meta_schema_20240725.json"
SCHEMA_MD5 = "76e1add273836515d0bbb3bc71962474"
INFERENCE = BUNDLE / "configs" / "inference.json"


@pytest.fixture
def inference() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(INFERENCE.read_text())
    return content


@pytest.fixture
def metadata() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(METADATA.read_text())
    return content


@pytest.fixture
def readme() -> str:
    return (BUNDLE / "docs" / "README.md").read_text(encoding="utf-8")


def test_the_network_takes_and_gives_what_the_metadata_say() -> None:
    options = {"net_id": "network_def", "meta_file": str(METADATA), "config_file": str(INFERENCE), "device": "cpu"}
    verify_net_in_out(any=7, **options)
    with pytest.raises(ValueError, match="wanted \\[batch, 5"):
        verify_net_in_out(any=7, label_table="totalsegmentator_heart", **options)


def test_the_channels_are_the_structures_in_the_order_of_their_indices(
    metadata: dict[str, Any], inference: dict[str, Any]
) -> None:
    structures = sorted(table(inference["label_table"]), key=lambda structure: structure.index)
    channels = metadata["network_data_format"]["inputs"]["image"]
    assert channels["num_channels"] == len(structures)
    assert [text.split(":")[0] for text in channels["channel_def"].values()] == [one.name for one in structures]
    highest = max(structure.index for structure in structures)
    for group in ("outputs", "post_processed_outputs"):
        assert metadata["network_data_format"][group]["pred"]["value_range"] == [0, highest]


@pytest.mark.slow
def test_an_exported_network_fuses_as_the_class_does(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "empty.pt")
    options = {
        "filepath": tmp_path / "model.ts",
        "ckpt_file": tmp_path / "empty.pt",
        "meta_file": METADATA,
        "config_file": INFERENCE,
    }
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "ckpt_export", "network_def"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    # A process of its own: TorchScript reads source, and the shape checks of these tests wrap every function.
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    script, image = torch.jit.load(tmp_path / "model.ts"), torch.rand(2, 10, 5, 7, 11)
    assert torch.equal(script(image), PriorityFusion()(image))


def test_the_readme_gives_the_table_of_structures(readme: str) -> None:
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in re.findall(r"^\| \d+ \| \w+ \|.*$", readme, flags=re.MULTILINE)
    ]
    assert rows == [
        [
            str(one.index),
            one.name,
            str(one.rank),
            str(one.components),
            ", ".join(one.touches),
            *map(written, lengths(one)),
        ]
        for one in table()
    ]


def lengths(one: Structure) -> tuple[float, ...]:
    return one.contact_mm, one.contact_bridge_mm, one.bridge_mm, one.speck_mm3, one.hole_mm3


def written(value: float) -> str:
    return f"{value:g}"


def test_the_readme_lists_the_rules_in_their_order(readme: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]{20,} \|$", readme, flags=re.MULTILINE)
    assert tuple(rows) == RULES


def test_the_readme_gives_every_setting_with_its_value_and_a_reason(readme: str, inference: dict[str, Any]) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \| .{20,} \|$", readme, flags=re.MULTILINE))
    parts = {"imports", "initialize", "code", "infer", "run", "handlers"}
    parts |= {"input_paths", "output_folders", "output_files"}
    settings = {
        key: json.dumps(value)
        for key, value in inference.items()
        if key not in parts and not str(value).startswith("$") and not (isinstance(value, dict) and "_target_" in value)
    }
    assert len(settings) == 14
    assert rows == settings


def test_what_the_readme_says_of_changes_to_the_table_holds() -> None:
    assert {"components", "touches", "bridge_mm", "hole_mm3"} <= set(ADJUSTABLE)


def test_every_config_named_in_the_readme_exists(readme: str) -> None:
    named = set(re.findall(r"(?:bundles|tests)/[\w/]+\.(?:json|conf)", readme))
    assert {Path(name).stem for name in named} >= {"inference", "evaluate", "metadata"}
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []
