"""The doctor finds each kind of fault, planted in a copy of a shipped bundle, and nothing else beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from custom import __version__
from custom.doctor.check_bundle import check_bundle, check_configs
from custom.doctor.finding import Fault
from tests.folder_entries import entries

BUNDLES = Path(__file__).resolve().parents[3] / "bundles"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of a bundle, with two of its overlays of structures."""
    root = Path(shutil.copytree(BUNDLES / "near_stage1", tmp_path / "near_stage1"))
    for path in entries((root / "configs/structures").iterdir()):
        if path.stem not in ("coronary", "laa"):
            path.unlink()
    return root


def edit(path: Path, change: Callable[[Any], Any]) -> str:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=4))
    return str(path)


def the_fault(root: Path, *names: str) -> Fault:
    """The only fault of a list of configs, or of the whole bundle."""
    report = check_configs([root / f"configs/{name}.json" for name in names], {}) if names else check_bundle(root)
    faults = report.faults
    assert len(faults) == 1, faults
    return faults[0]


def test_an_unresolved_reference_is_named_with_the_nearest(root: Path) -> None:
    path = edit(root / "configs/train.json", lambda c: c["train"]["trainer"].update(optimizer="@optimiser"))
    assert the_fault(root, "train") == Fault(
        path, "train::trainer::optimizer", "@optimiser is in no config of the list", "Did you mean @optimizer?"
    )


def test_an_unresolved_reference_inside_an_expression_is_found(root: Path) -> None:
    path = edit(root / "configs/inference.json", lambda c: c.update(network="$@network_df.to(@device)"))
    fault = the_fault(root, "inference")
    assert (fault.config, fault.where) == (path, "network")
    assert fault.cause == "@network_df is in no config of the list in the expression $@network_df.to(@device)"
    assert fault.remedy == "Did you mean @network_def?"


def test_a_macro_that_leads_nowhere_is_found(root: Path) -> None:
    path = edit(root / "configs/train.json", lambda c: c.update(run="%trainin"))
    assert the_fault(root, "train") == Fault(
        path, "run", "%trainin is in no config of the list", "Did you mean %training?"
    )


def test_a_macro_of_a_file_that_is_missing_is_found(root: Path) -> None:
    path = edit(root / "configs/inference.json", lambda c: c.update(stride="%configs/gone.json::stride"))
    fault = the_fault(root, "inference")
    cause = "%configs/gone.json::stride names a file that is not there"
    assert (fault.config, fault.where, fault.cause) == (path, "stride", cause)


def test_a_macro_of_another_file_is_followed_and_its_content_checked(root: Path) -> None:
    (root / "part.json").write_text('{"part": {"_target_": "Compose", "transforms": "@gone"}}')
    path = edit(root / "configs/inference.json", lambda c: c.update(_requires_="%part.json::part"))
    fault = the_fault(root, "inference")
    cause = "@gone is in no config of the list"
    assert (fault.config, fault.where, fault.cause) == (path, "_requires_::transforms", cause)


def test_a_reference_that_monai_takes_for_text_is_found(root: Path) -> None:
    path = edit(root / "configs/inference.json", lambda c: c.update(masks_dir="@output_dir/masks"))
    fault = the_fault(root, "inference")
    assert (fault.config, fault.where) == (path, "masks_dir")
    assert fault.cause.startswith("MONAI takes '@output_dir/masks' for plain text")


def test_a_part_that_needs_itself_is_found_with_the_circle(root: Path) -> None:
    path = edit(root / "configs/train.json", lambda c: c["train"]["handlers"][1].update(folder="@train::trainer"))
    fault = the_fault(root, "train")
    assert (fault.config, fault.where) == (path, "train::handlers::1")
    assert fault.cause == "it needs itself: train::handlers::1 -> train::trainer -> train::handlers"


def test_a_target_that_does_not_import_is_named_with_the_nearest_that_does(root: Path) -> None:
    path = edit(
        root / "configs/train.json",
        lambda c: c["network_def"].update(_target_="custom.models.near.near_field.NearFeild"),
    )
    assert the_fault(root, "train") == Fault(
        path,
        "network_def::_target_",
        "custom.models.near.near_field.NearFeild cannot be imported",
        "Did you mean custom.models.near.near_field.NearField?",
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("SupervisedTrainr", "SupervisedTrainer"),
        ("custom.field.near.NearField", "custom.models.near.near_field.NearField"),
        ("custm.models.near.near_field.NearField", "custom.models.near.near_field.NearField"),
        ("custom.nowhere.at.all.NearField", "custom.models.near.near_field.NearField"),
        ("torch.optim.Adamm", "torch.optim.Adam"),
    ],
)
def test_the_nearest_target_is_found_at_every_step_of_its_path(root: Path, written: str, meant: str) -> None:
    edit(root / "configs/train.json", lambda c: c["check"].update(_target_=written))
    assert the_fault(root, "train").remedy == f"Did you mean {meant}?"


def test_a_target_whose_module_fails_is_told_from_one_that_is_not_there(root: Path) -> None:
    (root / "scripts").mkdir()
    (root / "scripts" / "net.py").write_text("import a_package_nobody_has\n\n\nclass Net: ...\n")
    edit(root / "configs/train.json", lambda c: c["network_def"].update(_target_="scripts.net.Net"))
    fault = the_fault(root, "train")
    assert fault.where == "network_def::_target_"
    assert "scripts.net.Net is there, and importing it fails" in fault.cause
    assert "No module named 'a_package_nobody_has'" in fault.cause


def test_a_target_in_a_package_that_the_bundle_brings_along_is_found_and_forgotten_afterwards(root: Path) -> None:
    (root / "scripts").mkdir()
    (root / "scripts" / "net.py").write_text("def net(cases): ...\n")
    part = {"_target_": "scripts.net.net", "cases": 1}
    edit(root / "configs/train.json", lambda c: c.update(network_def=part))
    assert check_bundle(root).faults == ()
    (root / "scripts" / "net.py").write_text("def net(rows, more): ...\n")
    assert [(fault.where, fault.cause) for fault in check_bundle(root).faults] == [
        ("network_def::cases", "net takes no argument cases"),
        ("network_def", "net lacks its argument rows"),
        ("network_def", "net lacks its argument more"),
    ]


def test_a_target_that_cannot_be_called_is_found(root: Path) -> None:
    edit(root / "configs/train.json", lambda c: c["network_def"].update(_target_="custom.models.near.near_field"))
    fault = the_fault(root, "train")
    cause = "custom.models.near.near_field is a module, nothing that can be called"
    assert (fault.where, fault.cause) == ("network_def::_target_", cause)


def test_an_argument_that_is_not_taken_is_named_with_the_nearest(root: Path) -> None:
    path = edit(
        root / "configs/train.json", lambda c: c["network_def"].update(latent_sise=c["network_def"].pop("latent_size"))
    )
    assert the_fault(root, "train") == Fault(
        path,
        "network_def::latent_sise",
        "NearField takes no argument latent_sise",
        "Did you mean latent_size?",
    )


def test_an_argument_that_is_missing_is_named(root: Path) -> None:
    path = edit(root / "configs/train.json", lambda c: c["train"]["dataloader"].pop("dataset"))
    assert the_fault(root, "train") == Fault(
        path, "train::dataloader", "DataLoader lacks its argument dataset", "Give it."
    )


def test_an_unknown_setting_of_an_overlay_is_named_with_the_nearest(root: Path) -> None:
    path = edit(root / "configs/smoke.json", lambda c: c.update(max_epoch=7))
    assert the_fault(root) == Fault(
        path,
        "max_epoch",
        "found a setting this bundle does not have; wanted one of its settings",
        "Did you mean --max_epochs?",
    )


def test_an_unknown_setting_on_the_command_line_is_found(root: Path) -> None:
    configs = [root / f"configs/{name}.json" for name in ("train", "smoke")]
    assert check_configs(configs, {"max_epochs": 3, "train::trainer::amp": False}).faults == ()
    faults = check_configs(configs, {"epocs": 3, "stride": 2, "train::trainr::amp": False}).faults
    assert {(fault.config, fault.where) for fault in faults} == {
        ("command line", "epocs"),
        ("command line", "stride"),
        ("command line", "train::trainr::amp"),
    }
    remedies = {fault.where: fault.remedy for fault in faults}
    assert remedies["stride"] == "Leave it out, or add that config to --config_file."
    assert remedies["train::trainr::amp"] == "Did you mean train::trainer?"


def test_a_value_that_the_run_would_refuse_is_found_in_the_file_that_gives_it(root: Path) -> None:
    path = edit(root / "configs/structures/laa.json", lambda c: c.update(max_epochs=0, threshold=7))
    faults = {(fault.config, fault.where): fault.cause for fault in check_bundle(root).faults}
    assert faults == {
        (path, "max_epochs"): "found 0; wanted a whole number of at least 1",
        (path, "threshold"): "found 7; wanted a number of at least 0 and at most 1",
    }


def test_a_key_given_twice_is_found_at_any_depth(root: Path) -> None:
    path = root / "configs/train.json"
    text = path.read_text().replace('"T_max":', '"eta_min": 1, "T_max":').replace('"seed": 0,', '"seed": 0, "seed": 1,')
    path.write_text(text)
    assert {(fault.config, fault.where) for fault in check_bundle(root).faults} == {
        (str(path), "lr_scheduler::eta_min"),
        (str(path), "seed"),
    }


def test_invalid_json_is_found_with_its_line_and_column(root: Path) -> None:
    path = root / "configs/smoke.json"
    path.write_text('{\n    "resolution": 24,\n    "seed" 1\n}\n')
    assert the_fault(root) == Fault(
        str(path),
        "line 3, column 12",
        "invalid JSON: Expecting ':' delimiter",
        "Correct it there, or just before.",
    )


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"\xff\xfe{}"])
def test_a_config_that_is_no_object_is_found(root: Path, content: bytes) -> None:
    (root / "configs/fit.json").write_bytes(content)
    assert the_fault(root).config == str(root / "configs/fit.json")


@pytest.mark.parametrize("name", ["configs/metadata.json", "configs/logging.conf", "docs/README.md", "LICENSE"])
def test_a_missing_file_is_found(root: Path, name: str) -> None:
    (root / name).unlink()
    fault = the_fault(root)
    assert (fault.config, fault.where, fault.cause[:20]) == (str(root), name, "the file is missing,")


def test_a_config_that_a_command_names_and_that_is_not_there_is_found(root: Path) -> None:
    (root / "configs/fit.json").rename(root / "configs/fitting.json")
    fault = the_fault(root)
    place = (str(root / "docs/README.md"), "configs/fit.json", "Did you mean fitting.json?")
    assert (fault.config, fault.where, fault.remedy) == place


def test_a_path_to_read_from_that_is_not_there_is_found(root: Path, tmp_path: Path) -> None:
    config, gone = root / "configs/train.json", str(tmp_path / "gone")
    faults = check_configs([config], {"dataset_dir": gone}).faults
    assert [(fault.where, fault.cause) for fault in faults] == [("dataset_dir", f"there is no {gone}")]
    assert check_configs([config], {"dataset_dir": str(tmp_path)}).faults == ()


def test_a_file_the_bundle_should_hold_is_found_missing_unless_the_config_asks_for_it(root: Path) -> None:
    inference = root / "configs/inference.json"
    edit(inference, lambda c: c.update(checkpoint="$os.path.join(@bundle_root, 'models', 'model.pt')"))
    fault = the_fault(root)
    assert (fault.where, fault.cause) == ("checkpoint", f"there is no {root}/models/model.pt")
    edit(inference, lambda c: c.update(save_probability="$os.path.exists(@checkpoint)"))
    assert check_bundle(root).faults == ()


def drop_data_set(config: dict[str, Any]) -> None:
    """Take ``dataset_dir`` away, and all that refers to it."""
    config.pop("dataset_dir")
    config["masking"].pop(1)
    config["input_paths"].remove("@dataset_dir")


def test_a_property_that_is_missing_is_found(root: Path) -> None:
    path = edit(root / "configs/inference.json", drop_data_set)
    fault = the_fault(root, "inference")
    assert (fault.config, fault.where) == (path, "dataset_dir")
    assert fault.cause == "MONAI needs this property (directory path of the dataset) and does not find it"


def test_an_interval_written_in_place_is_found(root: Path) -> None:
    """MONAI's own check ends in a traceback here."""
    path = edit(root / "configs/train.json", lambda c: c["train"]["handlers"][3].update(interval=5))
    assert the_fault(root, "train") == Fault(
        path,
        "train::handlers::3::interval",
        "MONAI looks for this property at val_interval, and here is 5",
        'Put it at val_interval, and write "@val_interval" here.',
    )


def test_handlers_that_are_no_plain_list_are_found(root: Path) -> None:
    path = edit(root / "configs/train.json", lambda c: c["train"].update(handlers="$[]"))
    assert (path, "train::handlers") == ((fault := the_fault(root, "train")).config, fault.where)


@pytest.mark.parametrize(
    ("key", "given", "cause"),
    [
        ("monai_version", "1.99.0", f"made with monai 1.99.0, and {version('monai')} is installed, which is older"),
        ("pytorch_version", "1.13.1", f"and {version('torch')} is installed, another major version"),
        ("version", "0.0.9", "it is 0.0.9, and the latest in the changelog is " + __version__),
    ],
)
def test_a_version_that_does_not_fit_is_found(root: Path, key: str, given: str, cause: str) -> None:
    path = edit(root / "configs/metadata.json", lambda c: c.update({key: given}))
    fault = the_fault(root)
    assert (fault.config, fault.where, fault.cause[-len(cause) :]) == (path, key, cause)
