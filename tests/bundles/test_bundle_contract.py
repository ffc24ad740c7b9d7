"""Every bundle keeps MONAI's contract: metadata by their schema, all properties, a network as it is described."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, create_workflow, verify_metadata, verify_net_in_out

from custom.anatomy import table
from custom.doctor.check_bundle import check_bundle
from custom.models.near.near_field import NearField
from custom.models.vecset.set_network import SetNetwork
from custom.near.field_checkpoint import load_checkpoint
from custom.phantoms.write_cohort import make_cohort
from custom.rules.priority_fusion import PriorityFusion
from custom.sam3d.shape_model import ShapeModel
from custom.training.run_bundle import bundle_configs, run_bundle
from tests.bundles import sam3d_helpers
from tests.bundles.conftest import QUICK
from tests.bundles.sam3d_helpers import SMALL

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "tests" / "data" / "meta_schema_20240725.json"
SCHEMA_MD5 = "76e1add273836515d0bbb3bc71962474"
PHANTOMS = ("phantom_000", "phantom_001")
SHORT = {"max_epochs": 1, "val_interval": 1}


def phantom_hearts(folder: Path) -> dict[str, Any]:
    make_cohort(folder, cases=2, size=32)
    return {"dataset_dir": str(folder / "labels")}


def phantom_clouds(folder: Path) -> dict[str, Any]:
    make_cohort(folder, cases=2, size=32)
    return {"dataset_dir": str(folder / "truth"), "clouds_dir": str(folder / "clouds")}


def slices_of_balls(folder: Path) -> dict[str, Any]:
    return SMALL | {"dataset_dir": str(sam3d_helpers.make_cache(folder))}


@dataclass(frozen=True)
class Contract:
    """What is expected of a bundle.

    Attributes:
        network: class of ``network_def``.
        data: writes a small data set into a folder and returns the settings of a training on it.
        training: overlays between ``train`` and ``smoke``, one tuple a training; none for a bundle that is not trained.
        inference: run id and overlay of each inference.
        cases: that an inference finds.
        settings: further settings of an inference.
        references: whether an evaluation takes ``reference_dir``, the folder of true label maps.
        voxels: the free size in the description of the input, for training and for inference; ``None``: not checked.
    """

    network: type
    data: Callable[[Path], dict[str, Any]]
    training: tuple[tuple[str, ...], ...] = ((),)
    inference: tuple[tuple[str, ...], ...] = (("infer",), ("evaluate", "evaluate"))
    cases: tuple[str, ...] = PHANTOMS
    settings: dict[str, Any] = field(default_factory=dict)
    references: bool = True
    voxels: tuple[int | None, int | None] = (17, 13)


CONTRACTS = {
    "near_stage1": Contract(NearField, lambda folder: phantom_hearts(folder) | {"structure": "LA"}),
    "near_fusion": Contract(PriorityFusion, phantom_hearts, training=(), voxels=(None, 7)),
    "unified_implicit": Contract(
        NearField, phantom_hearts, inference=(("infer",), ("evaluate", "evaluate"), ("calibrate", "calibrate"))
    ),
    "heart_completion": Contract(SetNetwork, phantom_clouds, references=False),
    "heart_sam3d_lora": Contract(
        ShapeModel,
        slices_of_balls,
        training=((), ("vae",), ("base",)),
        inference=(("infer",),),
        cases=("s0005",),
        settings={"least_pixels": 2},
        voxels=(17, None),
    ),
}


@dataclass(frozen=True)
class Bundle:
    """A bundle, its contract, and a small data set with a training that has run on it."""

    name: str
    contract: Contract
    training: dict[str, Any]
    output_dir: Path
    truth: Path

    @property
    def metadata(self) -> Path:
        return ROOT / "bundles" / self.name / "configs" / "metadata.json"

    def configs(self, *names: str) -> list[str]:
        return bundle_configs(self.name, names)

    def workflow(self, run_id: str, *names: str, **settings: Any) -> ConfigWorkflow:
        """As ``python -m monai.bundle run`` builds it, initialized."""
        torch.set_num_threads(1)
        built = ConfigWorkflow(
            config_file=self.configs(*names),
            logging_file=False,
            run_id=run_id,
            workflow_type="train" if run_id == "training" else "infer",
            bundle_root=str(ROOT / "bundles" / self.name),
            **settings,
        )
        built.initialize()
        return built

    def inference(self) -> dict[str, Any]:
        """Settings of an inference on the data set, of those that the bundle has."""
        known = {"dataset_dir", "structure"} & self.training.keys()
        given = {key: self.training[key] for key in known} | self.contract.settings
        return given | {"output_dir": str(self.output_dir)}


@pytest.fixture(scope="module", params=list(CONTRACTS))
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    contract, folder = CONTRACTS[request.param], tmp_path_factory.mktemp(request.param)
    training, output_dir = contract.data(folder), folder / "out"
    if contract.training:
        torch.set_num_threads(1)
        short = {**training, **SHORT, "output_dir": str(output_dir)}
        run_bundle(bundle_configs(request.param, ["train", "smoke"]), "training", **short)
    return Bundle(request.param, contract, training, output_dir, folder / "truth")


def test_every_bundle_has_its_contract() -> None:
    assert {path.parents[1].name for path in (ROOT / "bundles").glob("*/configs/metadata.json")} == set(CONTRACTS)


def test_the_bundle_has_no_fault(bundle: Bundle) -> None:
    assert check_bundle(bundle.metadata.parents[1]).faults == ()


def test_the_metadata_follow_the_schema_they_name(bundle: Bundle) -> None:
    assert json.loads(bundle.metadata.read_text())["schema"].endswith(f"/{SCHEMA.name}")
    verify_metadata(meta_file=str(bundle.metadata), filepath=str(SCHEMA), hash_val=SCHEMA_MD5)


def test_metadata_against_the_schema_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    """The check above can fail."""
    content = json.loads(bundle.metadata.read_text())
    del content["required_packages_version"]
    broken = tmp_path / "metadata.json"
    broken.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="required_packages_version|Failed validating"):
        verify_metadata(meta_file=str(broken), filepath=str(SCHEMA), hash_val=SCHEMA_MD5)


def test_training_has_every_property_that_monai_requires(bundle: Bundle, tmp_path: Path) -> None:
    for overlays in bundle.contract.training:
        settings = bundle.training | {"output_dir": str(tmp_path / "-".join(overlays))}
        training = bundle.workflow("training", "train", *overlays, "smoke", **settings)
        assert not training.check_properties()
        assert training.max_epochs == 4
        assert isinstance(training.network_def, bundle.contract.network)
        assert training.version == json.loads(bundle.metadata.read_text())["version"]


def test_inference_has_every_property_that_monai_requires(bundle: Bundle) -> None:
    for run_id, *overlays in bundle.contract.inference:
        settings = bundle.inference()
        if "evaluate" in overlays and bundle.contract.references:
            settings["reference_dir"] = str(bundle.truth)
        found = bundle.workflow(run_id, "inference", *overlays, **settings)
        assert not found.check_properties()
        assert isinstance(found.network_def, bundle.contract.network)
        assert tuple(item["case"] for item in found.dataset_data) == bundle.contract.cases


def test_the_network_takes_and_gives_what_the_metadata_say(bundle: Bundle, tmp_path: Path) -> None:
    shared: dict[str, Any] = {"net_id": "network_def", "meta_file": str(bundle.metadata), "device": "cpu"}
    training, inference = bundle.contract.voxels
    if training is not None:
        data = {"dataset_dir": bundle.training["dataset_dir"], "output_dir": str(tmp_path)}
        verify_net_in_out(config_file=bundle.configs("train"), any=training, **data, **shared)
    if inference is not None:
        where = {"output_dir": str(bundle.output_dir)} if bundle.contract.training else {}
        verify_net_in_out(config_file=bundle.configs("inference"), any=inference, **where, **shared)


def test_the_channels_are_the_structures_in_the_order_of_their_indices(bundle: Bundle) -> None:
    described = json.loads(bundle.metadata.read_text())["network_data_format"]
    own = json.loads((bundle.metadata.parent / "inference.json").read_text())["label_table"]
    names = [structure.name for structure in sorted(table(own), key=lambda structure: structure.index)]
    channels = {
        group: [text.split(":")[0] for text in described[group][tensor]["channel_def"].values()]
        for group, tensor in (("inputs", "image"), ("outputs", "pred"))
    }
    per_structure = {"near_fusion": "inputs", "unified_implicit": "outputs", "heart_completion": "outputs"}
    if bundle.name in per_structure:
        assert channels[per_structure[bundle.name]] == names


def test_a_script_starts_the_bundle_as_the_command_line_does(tmp_path: Path) -> None:
    training = {"dataset_dir": phantom_hearts(tmp_path)["dataset_dir"], "structure": "LA", **QUICK, "max_epochs": 2}
    command = run_bundle(
        bundle_configs("near_stage1", ["train", "smoke"]), "training", **training, output_dir=str(tmp_path / "command")
    )
    assert command.run_id == "training"
    script = create_workflow(
        config_file=bundle_configs("near_stage1", ["train", "smoke"]),
        workflow_type="train",
        logging_file=False,
        run_id="run",
        output_dir=str(tmp_path / "script"),
        **training,
    )
    script.run()
    script.finalize()
    one, other = (load_checkpoint(tmp_path / kind / "LA" / "last.pt")["model"] for kind in ("command", "script"))
    assert all(torch.equal(one[key], other[key]) for key in other)
