"""Every bundle, exported in both layouts, runs where nothing else of the project is."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from custom.errors import InputError
from custom.export.archive_layouts import laid_out, published_dependencies
from custom.export.bundle_source import bundle_names, read_bundle
from custom.export.checkpoint_in_archive import MODEL, add_checkpoint, takers
from custom.export.export_bundle import run_export
from custom.training.run_bundle import BUNDLES
from tests.bundles import completion_helpers, sam3d_helpers, unified_helpers
from tests.bundles.export_helpers import (
    CODE,
    clean_python,
    each_bundle,
    each_layout,
    exported,
    links_to,
    run_id,
    unpacked,
)
from tests.folder_entries import entries

pytestmark = pytest.mark.slow

ADAPTING = ("accelerate", "peft", "transformers")
NO_TORCHSCRIPT = "TorchScript or\nTensorRT is not supported"
"""What the README says of a bundle that gives its weights as they are and no other way."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is installed with the package and its extras for the making of clouds and the adapting of flows."""
    return links_to([*published_dependencies(), "warp-lang", *ADAPTING], tmp_path_factory.mktemp("published"))


def test_the_clean_python_has_the_published_dependencies_and_nothing_else(published: Path, tmp_path: Path) -> None:
    for module, found in {"monai": True, "plotly": True, "custom": False, "pytest": False, "beartype": False}.items():
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        assert (clean_python(published, ["-c", code], tmp_path).returncode == 0) is found, module


@each_layout
@each_bundle
def test_an_exported_bundle_trains_and_infers_from_an_empty_folder(
    name: str, layout: str, published: Path, tmp_path: Path
) -> None:
    done = run_export(name, tmp_path / f"{name}.zip", layout)
    assert "components found" in done.text
    folder = unpacked(done.path, tmp_path / "empty")
    code = f"import {CODE[layout]} as code; print(code.__file__)"
    assert clean_python(published, ["-c", code], folder).stdout.strip() == str(folder / CODE[layout] / "__init__.py")
    if "configs/train.json" in done.names:
        run_id(published, folder, "training", "train", "smoke")
    # Of a data set's phantoms both runs take the same, but of slices the first run's are fewer, as smoke.json says.
    run_id(published, folder, "infer", "inference", **({"phantom_cases": 6} if name == "heart_sam3d_lora" else {}))
    written = sorted(path for path in (folder / "output").rglob("*.nii.gz") if path.parent.name != "probability")
    given = asked_of(folder, name)
    assert {path.name for path in written} == set(given)
    labels, first = nib.load(given[written[0].name]), nib.load(written[0])
    assert first.shape == labels.shape and np.allclose(first.affine, labels.affine, atol=1e-4)


def asked_of(folder: Path, name: str) -> dict[str, Path]:
    """By the name of a map that is written: the label map on whose grid it lies."""
    if name != "heart_sam3d_lora":
        phantoms = {path.name: path for path in entries((folder / "data" / "phantoms" / "labels").iterdir())}
        assert len(phantoms) == 6
        return phantoms
    (listing,) = (folder / "data").glob("phantom_slices_*/datalist.json")
    cases = {Path(row["slice"]).parent.name for row in json.loads(listing.read_text())["test"]}
    assert cases
    return {f"{case}.nii.gz": next((folder / "data").glob(f"phantom_scans_*/{case}/*-label.nii.gz")) for case in cases}


@each_layout
def test_exported_weights_infer_without_training(
    bundle: Any, trained: Path, layout: str, published: Path, tmp_path: Path
) -> None:
    done = run_export("near_stage1", tmp_path / "x.zip", layout, trained / "LA" / "best.pt")
    assert "the network gives what the metadata say" in done.text
    folder = unpacked(done.path, tmp_path / "empty")
    run_id(published, folder, "infer", "inference", only_cases="['phantom_001']")
    (mask,) = (folder / "output" / "near_stage1" / "masks" / "LA").glob("*.nii.gz")
    predicted, truth = nib.load(mask).get_fdata() > 0, nib.load(bundle.truth / mask.name).get_fdata() == 2
    assert 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum()) > 0.7


@pytest.fixture(scope="module")
def trained_heart(bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output_dir = tmp_path_factory.mktemp("heart")
    unified_helpers.train(bundle.labels, output_dir, max_epochs=2, val_interval=1)
    return output_dir


@pytest.fixture(scope="module")
def trained_completion(bundle: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output_dir = tmp_path_factory.mktemp("completion")
    completion_helpers.train(bundle.truth.parent, output_dir, max_epochs=1, clouds_dir=output_dir / "clouds")
    return output_dir


@pytest.fixture(scope="module")
def whole_flow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All parts in one file, the adapters merged into a flow of random weights."""
    cache, output_dir = sam3d_helpers.make_cache(tmp_path_factory.mktemp("cache")), tmp_path_factory.mktemp("flow")
    sam3d_helpers.train(cache, output_dir, max_epochs=1, val_interval=1)
    sam3d_helpers.run("merge", ["inference"], dataset_dir=cache, output_dir=output_dir)
    return output_dir / "lora" / "whole.pt"


def readme_of(name: str) -> str:
    return exported(name, "zoo")["docs/README.md"].decode()


def test_only_the_adapted_flow_says_that_it_is_no_torchscript() -> None:
    assert [name for name in bundle_names() if NO_TORCHSCRIPT in readme_of(name)] == ["heart_sam3d_lora"]


@each_bundle
def test_zoo_the_zoos_own_checks_of_a_network_pass(
    name: str,
    trained: Path,
    trained_heart: Path,
    trained_completion: Path,
    whole_flow: Path,
    published: Path,
    tmp_path: Path,
) -> None:
    """They start in another folder with the bundle's on the path, and give no key of the checkpoint."""
    best = {
        "near_stage1": trained / "LA" / "best.pt",
        "unified_implicit": trained_heart / "heart" / "best.pt",
        "heart_completion": trained_completion / "phase1" / "best.pt",
        "heart_sam3d_lora": whole_flow,
    }
    weights = best[name] if takers(exported(name, "zoo")) else None
    folder = unpacked(run_export(name, tmp_path / "x.zip", "zoo", weights).path, tmp_path / "models")
    where = {"meta_file": f"{folder}/configs/metadata.json", "config_file": f"{folder}/configs/inference.json"}
    export = {"filepath": f"{folder}/models/verify_model.ts", "ckpt_file": f"{folder}/{MODEL}", **where}
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "from monai.bundle import ckpt_export, verify_net_in_out\n"
        f"verify_net_in_out('network_def', bundle_root={str(folder)!r}, any=16, device='cpu', **{where})\n"
    )
    scripted = NO_TORCHSCRIPT not in readme_of(name)
    if scripted:
        code += f"ckpt_export('network_def', bundle_root={str(folder)!r}, **{export})\n"
    done = clean_python(published, ["-c", code], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not scripted or (folder / "models" / "verify_model.ts").stat().st_size > 1000


def test_started_elsewhere_an_exported_bundle_asks_for_its_folder_and_runs_once_told(
    published: Path, tmp_path: Path
) -> None:
    folder = unpacked(run_export("near_fusion", tmp_path / "x.zip").path, tmp_path / "empty")
    command = ["-m", "monai.bundle", "run", "check", "--config_file", f"{folder}/configs/inference.json"]
    refused = clean_python(published, command, tmp_path)
    assert refused.returncode != 0
    said = refused.stderr.splitlines()[-1]
    assert said.startswith("error: custom: found no package of CorField of this name; wanted that of the bundle.")
    assert said.endswith("or give --bundle_root with the path to it.")
    told = clean_python(published, [*command, "--bundle_root", str(folder)], tmp_path)
    assert told.returncode == 0, told.stderr[-3000:]


def test_bundles_unpacked_side_by_side_find_each_other(published: Path, tmp_path: Path) -> None:
    for name in bundle_names():
        with zipfile.ZipFile(run_export(name, tmp_path / f"{name}.zip").path) as opened:
            opened.extractall(tmp_path / "all")
    config = str(tmp_path / "all" / "near_stage1" / "configs" / "train.json")
    code = (
        "from custom.export.bundle_source import bundle_names\n"
        "from custom.training.run_bundle import bundle_configs\n"
        f"assert bundle_names() == {bundle_names()}\n"
        f"assert bundle_configs('near_stage1', ['train']) == [{config!r}]\n"
    )
    done = clean_python(published, ["-c", code], tmp_path / "all" / "near_fusion")
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"network_def": {"_target_": "custom.fields.nowhere.Field"}}, "custom.fields.nowhere.Field leads nowhere"),
        ({"network_def": {"_target_": "pytest_of_nobody.Field"}}, "pytest_of_nobody.Field leads nowhere"),
        ({"check": "$1 / 0"}, "Failed to evaluate"),
    ],
)
def test_a_bundle_that_does_not_run_by_itself_is_not_written(
    config: dict[str, Any], found: str, tmp_path: Path
) -> None:
    folder = tmp_path / "of_others"
    for path, text in {
        "configs/metadata.json": "{}",
        "configs/inference.json": json.dumps({"bundle_root": ".", "run": ["$1"], **config}),
        "docs/README.md": "# B\n",
        "LICENSE": "Do as you like.\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    with pytest.raises(InputError, match="an export that fails where nothing else is") as raised:
        run_export(str(folder), tmp_path / "x.zip")
    assert found in str(raised.value)
    assert [path.name for path in entries(tmp_path.iterdir())] == ["of_others"]


def test_weights_of_another_kind_are_refused_by_the_bundle_itself(tmp_path: Path) -> None:
    source = read_bundle(BUNDLES / "near_fusion")
    empty = tmp_path / "empty.pt"
    empty.write_bytes(laid_out(source, "zoo")[1][MODEL])
    assert MODEL in add_checkpoint(exported("near_stage1", "zoo"), empty, "near_stage1")
    with pytest.raises(InputError, match="wanted a checkpoint of format"):
        run_export("near_stage1", tmp_path / "x.zip", "zoo", empty)
    assert not (tmp_path / "x.zip").exists()
