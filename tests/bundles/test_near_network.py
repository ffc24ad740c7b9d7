"""The field of near_stage1 as MONAI's tools export it, and as its state dict rebuilds it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from monai.data import load_net_with_metadata

from custom.models.near.near_field import NearField
from custom.near.field_checkpoint import field_of, load_checkpoint


def metadata_of(bundle: Any) -> str:
    return str(bundle.configs / "metadata.json")


def test_an_exported_network_answers_as_the_field_does(bundle: Any, trained: Path, tmp_path: Path) -> None:
    checkpoint, exported = trained / "LA" / "best.pt", tmp_path / "model.ts"
    options = {
        "filepath": exported,
        "ckpt_file": checkpoint,
        "key_in_ckpt": "model",
        "meta_file": metadata_of(bundle),
        "config_file": bundle.configs / "inference.json",
        "output_dir": trained,
    }
    command = [sys.executable, "-m", "monai.bundle", "ckpt_export", "network_def"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    # A process of its own: TorchScript reads source, and the shape checks of these tests wrap every function.
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    script, metadata, extra = load_net_with_metadata(str(exported), more_extra_files=("inference.json",))
    assert metadata["version"] == json.loads(Path(metadata_of(bundle)).read_text())["version"]
    assert json.loads(extra["inference.json"])["run"] == "%infer"
    field, points = field_of(load_checkpoint(checkpoint)), 2 * torch.rand(2, 3, 31) - 1
    rows = torch.tensor([2, 0])
    with torch.no_grad():
        assert torch.allclose(script(points, rows), field(points, rows), atol=1e-5, rtol=0)
        assert torch.allclose(script(points), field(points), atol=1e-5, rtol=0)
        assert not torch.allclose(field(points, rows)[0], field(points)[0], atol=1e-2)


def test_the_state_dict_alone_rebuilds_the_field(trained: Path) -> None:
    content = load_checkpoint(trained / "LA" / "last.pt")
    field = NearField(len(content["cases"]), **content["settings"]["network"])
    field.load_state_dict(content["model"], strict=True)
    kept = field.state_dict()
    assert list(kept) == list(content["model"])
    assert all(torch.equal(kept[key], content["model"][key]) for key in kept)
