"""Bundles made elsewhere: the habits of the model zoo, YAML, code that a bundle brings along."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import custom
from custom.doctor.check_bundle import Report, check_bundle, check_configs

ROOT = Path(__file__).resolve().parents[3]

TRAIN: dict[str, Any] = {
    "imports": ["$import glob", "$from pathlib import Path"],
    "bundle_root": ".",
    "ckpt_dir": "$@bundle_root + '/models'",
    "dataset_dir": "$@bundle_root + '/data'",
    "images": "$sorted(glob.glob(@dataset_dir + '/*.nii.gz'))",
    "val_interval": 5,
    "image": "$monai.utils.CommonKeys.IMAGE",
    "both": ["@image", "mask"],
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network_def": {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2}
    | {"channels": [16, 32], "strides": [2]},
    "network": "$@network_def.to(@device)",
    "train": {
        "steps": [{"_target_": "LoadImaged", "keys": "@both"}, {"_target_": "EnsureTyped", "keys": "@both"}],
        "preprocessing": {"_target_": "Compose", "transforms": "$@train#steps + []"},
        "dataset": {
            "_target_": "CacheDataset",
            "data": "$[{@image: i, 'mask': i.replace('img', 'lbl')} for i in @images]",
            "transform": "@train#preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@##dataset", "batch_size": 2},
        "inferer": {"_target_": "SimpleInferer"},
        "handlers": [
            {"_target_": "ValidationHandler", "validator": "@validate#evaluator", "interval": "@val_interval"},
            {"_target_": "StatsHandler", "output_transform": "$lambda x: None", "_disabled_": False},
            {"_target_": "not.installed.Handler", "_disabled_": True},
        ],
        "trainer": {
            "_target_": "SupervisedTrainer",
            "max_epochs": 3,
            "device": "@device",
            "train_data_loader": "@train#dataloader",
            "network": "@network",
            "loss_function": {"_target_": "DiceLoss", "sigmoid": True},
            "optimizer": {"_target_": "torch.optim.Adam", "params": "$@network.parameters()"},
            "inferer": "@train#inferer",
            "train_handlers": "@train#handlers",
        },
    },
    "validate": {
        "preprocessing": {"_target_": "Compose", "transforms": "%train#steps"},
        "dataset": {"_target_": "CacheDataset", "data": "@images", "transform": "@validate#preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@validate#dataset"},
        "handlers": [{"_target_": "StatsHandler", "_desc_": "says @val_interval"}],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@validate#dataloader",
            "network": "@network",
            "val_handlers": "@validate#handlers",
        },
    },
    "run": ["$@train#trainer.run()"],
}
EVALUATE: dict[str, Any] = {
    "validate#dataset#progress": False,
    "+validate#handlers": [{"_target_": "MetricsSaver", "save_dir": "@ckpt_dir"}],
    "run": ["$@validate#evaluator.run()"],
}
PARALLEL: dict[str, Any] = {
    "device": "$torch.device(f'cuda:{dist.get_rank()}')",
    "train#sampler": {"_target_": "DistributedSampler", "dataset": "@train#dataset"},
    "train#dataloader#sampler": "@train#sampler",
    "train#trainer#train_handlers": "$@train#handlers[: -1 if dist.get_rank() > 0 else None]",
    "initialize": ["$import torch.distributed as dist", "$dist.init_process_group(backend='nccl')"],
}
METADATA = {
    **{"version": "0.2.0", "changelog": {"0.2.0": "second", "0.1.10": "first"}},
    **{"monai_version": "1.4.0", "pytorch_version": "2.4.0", "numpy_version": "2.0.0"},
    "optional_packages_version": {"nibabel": "5.2.1"},
}
CONFIGS = {"train": TRAIN, "evaluate": EVALUATE, "multi_gpu_train": PARALLEL}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name in ("configs/logging.conf", "LICENSE", "docs/README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    for name, content in {**CONFIGS, "metadata": METADATA}.items():
        (tmp_path / "configs" / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def found(report: Report) -> set[tuple[str, str]]:
    return {(Path(fault.config).name, fault.where) for fault in report.faults}


def test_the_habits_of_the_model_zoo_are_sound(root: Path) -> None:
    report = check_bundle(root)
    assert report.faults == ()
    assert {one.names for one in report.examined} == {
        ("train.json",),
        ("train.json", "evaluate.json"),
        ("train.json", "multi_gpu_train.json"),
    }
    train = next(one for one in report.examined if len(one.names) == 1)
    assert (train.components, train.expressions) == (18, 13)


def test_each_fault_is_named_with_the_file_of_the_list_that_brings_it(root: Path) -> None:
    broken = {**EVALUATE, "+validate#handlers": [{"_target_": "MetricSaver", "save_dir": "@gone_dir"}]}
    broken |= {"validate#datasett#progress": 1, "run": "%validate#evaluate"}
    (root / "configs/evaluate.json").write_text(json.dumps(broken))
    report = check_bundle(root)
    assert found(report) == {
        ("evaluate.json", "validate::handlers::1::_target_"),
        ("evaluate.json", "validate::handlers::1::save_dir"),
        ("evaluate.json", "validate::datasett::progress"),
        ("evaluate.json", "run"),
    }


def test_data_beside_the_configs_are_only_read(root: Path) -> None:
    (root / "configs/labels.json").write_text('{"1": "liver"}')
    report = check_bundle(root)
    assert (report.faults, report.files, len(report.examined)) == ((), 4, 3)


def test_a_setting_is_judged_by_its_rule_only_if_the_run_does_so_itself(root: Path) -> None:
    (root / "configs/train.json").write_text(json.dumps({**TRAIN, "resolution": [1.5, 1.5, 2], "ref": "@resolution"}))
    assert check_bundle(root).faults == ()


def test_a_bundle_that_brings_its_own_code_is_judged_by_that_code(root: Path) -> None:
    """Its package has the name of the one that is running."""
    shutil.copytree(ROOT / "custom", root / "custom", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "custom" / "anatomy_only_here.py").write_text("def part(side): ...\n")
    part = {"_target_": "custom.anatomy_only_here.part", "side": 3}
    (root / "configs/train.json").write_text(json.dumps({**TRAIN, "part": part, "other": "@part"}))
    assert check_bundle(root).faults == ()
    assert sys.modules["custom"] is custom
    assert "custom.anatomy_only_here" not in sys.modules
    assert str(root) not in sys.path


def test_yaml_without_pyyaml_says_what_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = root / "configs/train.yaml"
    path.write_text("a: 1")
    (fault,) = check_configs([path], {}).faults
    assert (fault.config, fault.cause) == (str(path), "YAML cannot be read: PyYAML is not installed")
    assert fault.remedy == "Run pip install PyYAML."


def test_yaml_is_read_as_json_is(root: Path) -> None:
    yaml = pytest.importorskip("yaml")
    for name, content in CONFIGS.items():
        (root / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(content))
        (root / "configs" / f"{name}.json").unlink()
    assert check_bundle(root).faults == ()
    assert len(check_bundle(root).examined) == 3
    path = root / "configs/evaluate.yaml"
    path.write_text(path.read_text() + "run: 3\nx: &x {a: 1}\ny: {<<: *x, a: 2}\n")
    assert found(check_bundle(root)) == {("evaluate.yaml", key) for key in ("run", "x", "y")}
    path.write_text("run: 1\nb: [1, 2\n")
    (fault,) = check_bundle(root).faults
    assert fault.where.startswith("line 3, column ") and fault.cause.startswith("invalid YAML: ")
