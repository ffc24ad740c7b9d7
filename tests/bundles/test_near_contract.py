"""The bundle keeps MONAI's contract: its own checks pass, its tools export it, Python can start it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import create_workflow, verify_metadata, verify_net_in_out
from monai.data import load_net_with_metadata

from custom.models.near.near_field import NearField
from custom.near.field_checkpoint import field_of, load_checkpoint

SCHEMA = Path(__file__).resolve().parents[1] / "data" / "meta_schema_20240725.json"
SCHEMA_MD5 = "76e1add273836515d0bbb3bc71962474"


def metadata_of(bundle: Any) -> str:
    return str(bundle.configs / "metadata.json")


def test_the_metadata_follow_the_schema_they_name(bundle: Any) -> None:
    named = json.loads(Path(metadata_of(bundle)).read_text())["schema"]
    assert named.endswith(f"/{SCHEMA.name}")
    verify_metadata(meta_file=metadata_of(bundle), filepath=str(SCHEMA), hash_val=SCHEMA_MD5)


def test_metadata_against_the_schema_are_refused(bundle: Any, tmp_path: Path) -> None:
    """The check above can fail."""
    content = json.loads(Path(metadata_of(bundle)).read_text())
    del content["required_packages_version"]
    broken = tmp_path / "metadata.json"
    broken.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="required_packages_version|Failed validating"):
        verify_metadata(meta_file=str(broken), filepath=str(SCHEMA), hash_val=SCHEMA_MD5)


def test_training_has_every_property_monai_asks_for(bundle: Any, tmp_path: Path) -> None:
    workflow = bundle.workflow("training", ["train", "smoke"], tmp_path)
    workflow.initialize()
    assert not workflow.check_properties()
    assert workflow.max_epochs == 4
    assert isinstance(workflow.network_def, NearField)
    assert workflow.version == json.loads(Path(metadata_of(bundle)).read_text())["version"]


@pytest.mark.parametrize(("run_id", "names"), [("infer", ["inference"]), ("evaluate", ["inference", "evaluate"])])
def test_inference_has_every_property_monai_asks_for(bundle: Any, trained: Path, run_id: str, names: list[str]) -> None:
    workflow = bundle.workflow(run_id, names, trained, reference_dir=str(bundle.truth))
    workflow.initialize()
    assert not workflow.check_properties()
    assert isinstance(workflow.network_def, NearField)


def test_the_network_takes_and_gives_what_the_metadata_say(bundle: Any, trained: Path) -> None:
    verify_net_in_out(
        net_id="network_def",
        meta_file=metadata_of(bundle),
        config_file=bundle.paths(["train"]),
        any=17,
        device="cpu",
        dataset_dir=str(bundle.labels),
    )
    verify_net_in_out(
        net_id="network_def",
        meta_file=metadata_of(bundle),
        config_file=bundle.paths(["inference"]),
        any=13,
        device="cpu",
        output_dir=str(trained),
    )


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


def test_a_script_starts_the_bundle_as_the_command_line_does(bundle: Any, trained: Path, tmp_path: Path) -> None:
    workflow = create_workflow(
        config_file=bundle.paths(["train", "smoke"]),
        workflow_type="train",
        logging_file=False,
        run_id="run",
        dataset_dir=str(bundle.labels),
        output_dir=str(tmp_path),
        **bundle.quick,
    )
    workflow.run()
    workflow.finalize()
    here, there = (load_checkpoint(folder / "LA" / "last.pt")["model"] for folder in (tmp_path, trained))
    assert all(torch.equal(here[key], there[key]) for key in there)
