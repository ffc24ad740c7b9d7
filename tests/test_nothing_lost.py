"""Every command and bundle entry, its output equal to, inside, around or linked to its inputs: no file is lost.

The inputs are files that this project has written, so that the record of written files alone would let them be
overwritten; and once more without their records, as a user's own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from custom.data.label_maps import read_label_map, write_label_map
from custom.errors import InputError
from custom.fingerprints import content_digest
from custom.models.near.near_field import NearField
from custom.near.field_checkpoint import pack
from custom.output_record import RECORD
from custom.package.pack import run_pack
from custom.package.render import run_render
from custom.phantoms.write_cohort import make_cohort
from custom.run.complete_hearts import run_complete
from custom.run.completion_request import CompletionRequest
from custom.run.make_clouds import CloudRequest, run_clouds
from custom.run.make_slices import SliceRequest, run_slices
from custom.run.repair_labels import run_repair
from custom.run.rewrite_report import run_report
from custom.run.score_labels import run_score
from custom.space import Frame
from custom.surfaces.surface_sampling import Counts
from custom.training.checkpoint_file import save_atomically
from custom.training.run_bundle import bundle_configs, run_bundle
from tests.custom.package.package_helpers import save_run
from tests.custom.run.completion_run_helpers import constant
from tests.custom.run.conftest import asked

OWN = {".corfield_lock", RECORD}


@dataclass(frozen=True)
class Entry:
    """A command or bundle entry.

    Attributes:
        name: for the tests' names.
        inputs: folders and files of :func:`inputs` that it reads.
        run: what it does, given the folder of the inputs and the output.
        written: folders in the output that it writes into, ``.`` for the output itself.
    """

    name: str
    inputs: tuple[str, ...]
    run: Callable[[Path, Path], Any]
    written: tuple[str, ...]


def bundle(name: str, configs: list[str], run_id: str, **settings: Any) -> Any:
    torch.set_num_threads(1)
    return run_bundle(
        bundle_configs(name, configs),
        run_id,
        **{k: str(v) if isinstance(v, Path) else v for k, v in settings.items()},
        amp=False,
    )


def fuse(dataset: Path, output: Path, **settings: Any) -> Any:
    where = {key: str(value) for key, value in {"dataset_dir": dataset, "output_dir": output, **settings}.items()}
    return run_bundle(bundle_configs("near_fusion", ["inference"]), "infer", **where)


ENTRIES = (
    Entry(
        "repair",
        ("labels",),
        lambda i, o: run_repair(asked(i / "labels", o, structures=("LA",))),
        ("repaired", "fused", "stage1/masks/LA"),
    ),
    Entry(
        "repair_reference",
        ("labels", "truth"),
        lambda i, o: run_repair(asked(i / "labels", o, structures=("LA",), reference=i / "truth")),
        ("measures", "report"),
    ),
    Entry(
        "complete",
        ("labels", "completion.pt"),
        lambda i, o: run_complete(
            CompletionRequest(
                labels=i / "labels", output=o, checkpoint=i / "completion.pt", workers=1, device="cpu", draws=1
            )
        ),
        ("completed", "source", "confidence"),
    ),
    Entry(
        "clouds",
        ("labels",),
        lambda i, o: run_clouds(CloudRequest(i / "labels", o, counts=Counts(50, 50, 50), workers=1)),
        (".",),
    ),
    Entry(
        "slices",
        ("scans",),
        lambda i, o: run_slices(SliceRequest(i / "scans", o, size=16, spacing_mm=6.0, least_pixels=2, workers=1)),
        (".", "s0000"),
    ),
    Entry("score", ("labels", "truth"), lambda i, o: run_score(i / "labels", i / "truth", o), (".",)),
    Entry("pack", ("run",), lambda i, o: run_pack(i / "run", o), (".",)),
    Entry("render", ("model",), lambda i, o: run_render(i / "model", "all", o, 6.0), (".",)),
    Entry("report", ("labels",), lambda i, o: run_report(i / "labels", o / "a.html"), (".",)),
    Entry("near_fusion", ("labels",), lambda i, o: fuse(i / "labels", o), ("repaired", "ledger", "stamps")),
    Entry("near_fusion_maps_dir", ("labels",), lambda i, o: fuse(i / "labels", i / "elsewhere", maps_dir=o), (".",)),
    Entry(
        "near_fusion_masks",
        ("masks",),
        lambda i, o: run_bundle(
            bundle_configs("near_fusion", ["inference"]), "infer", masks_dir=str(i / "masks"), output_dir=str(o)
        ),
        ("repaired", "ledger", "stamps"),
    ),
    Entry(
        "near_stage1_infer",
        ("la.pt", "labels"),
        lambda i, o: bundle(
            "near_stage1",
            ["inference"],
            "infer",
            dataset_dir=i / "labels",
            checkpoint=i / "la.pt",
            masks_dir=o,
            mask_from="label",
        ),
        ("LA",),
    ),
    Entry(
        "near_stage1_evaluate",
        ("la.pt", "masks"),
        lambda i, o: bundle(
            "near_stage1",
            ["inference", "evaluate"],
            "evaluate",
            dataset_dir=i / "labels",
            checkpoint=i / "la.pt",
            masks_dir=o,
            reference_dir=i / "masks",
        ),
        ("LA",),
    ),
    Entry(
        "unified_infer",
        ("run",),
        lambda i, o: bundle(
            "unified_implicit", ["inference"], "infer", checkpoint=i / "run" / "heart" / "best.pt", maps_dir=o, stride=4
        ),
        (".",),
    ),
    Entry(
        "completion_infer",
        ("labels", "completion.pt"),
        lambda i, o: bundle(
            "heart_completion",
            ["inference"],
            "infer",
            dataset_dir=i / "labels",
            checkpoint=i / "completion.pt",
            maps_dir=o,
            device="cpu",
        ),
        (".", "source", "confidence"),
    ),
    Entry(
        "completion_source",
        ("labels",),
        lambda i, o: bundle(
            "heart_completion",
            ["inference"],
            "infer",
            dataset_dir=i / "labels",
            checkpoint=i / "completion.pt",
            maps_dir=i / "elsewhere",
            source_dir=o,
            device="cpu",
        ),
        (".",),
    ),
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of everything that is read; not to be written to."""
    folder = tmp_path_factory.mktemp("made")
    make_cohort(folder, cases=2, size=32)
    affine = np.diag([5.9, 5.9, 7.0, 1.0])
    labels = np.zeros((13, 11, 9), np.uint8)
    labels[3:8, 3:8, 2:7], labels[4:6, 4:7, 3:5] = 5, 2
    for part, values, dtype in (("image", 100 * labels.astype(np.int16), np.int16), ("label", labels, np.uint8)):
        write_label_map(folder / "scans" / "s0000" / f"s0000-{part}.nii.gz", values, affine, dtype=dtype)
    constant(folder / "completion.pt", ["Aorta"])
    save_run(folder / "run")
    run_pack(folder / "run", folder / "model")
    grid = read_label_map(folder / "labels" / "phantom_000.nii.gz").affine
    frame = Frame(grid, (32, 32, 32), (8, 8, 8), (23, 23, 23))
    network = {"trunk_channels": [8], "latent_size": 4, "code_side": 4, "widths": [16, 16, 16, 16]}
    cases = ["phantom_000", "phantom_001"]
    content = pack(
        NearField(2, **network), "LA", "public_cardiac_ct", cases, dict.fromkeys(cases, frame), {"network": network}
    )
    save_atomically(content, folder / "la.pt")
    for case in cases:
        write_label_map(folder / "masks" / "LA" / f"{case}.nii.gz", np.ones((32, 32, 32), np.uint8), grid)
    return folder


@pytest.fixture(params=["recorded", "foreign"])
def inputs(made: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of it, with the records of what was written or without."""
    folder = tmp_path / "inputs"
    shutil.copytree(made, folder)
    if request.param == "foreign":
        for path in folder.rglob(RECORD):
            path.unlink()
    return folder


def contents(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in OWN]
    return {str(path.relative_to(folder)): content_digest(path) for path in paths}


def attempt(entry: Entry, inputs: Path, output: Path) -> None:
    """Run it; a refusal is as good as an end."""
    with suppress(InputError):
        entry.run(inputs, output)


def unharmed(before: dict[str, str], folder: Path) -> bool:
    after = contents(folder)
    lost = {name for name, digest in before.items() if after.get(name) != digest}
    assert lost == set()
    return True


def places(entry: Entry, inputs: Path) -> dict[str, Path]:
    """Outputs in a relation to each input that could cost it."""
    found: dict[str, Path] = {}
    for name in entry.inputs:
        place = inputs / name
        found[f"equal to {name}"] = place
        found[f"around {name}"] = place.parent
        if place.is_dir():
            found[f"inside {name}"] = place / "out"
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_no_input_is_lost_to_an_output_equal_to_inside_or_around_it(entry: Entry, inputs: Path) -> None:
    before = contents(inputs)
    for output in places(entry, inputs).values():
        attempt(entry, inputs, output)
        assert unharmed(before, inputs)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_no_input_is_lost_through_a_link_in_the_place_of_what_is_written(
    entry: Entry, inputs: Path, tmp_path: Path
) -> None:
    before = contents(inputs)
    for number, (name, written) in enumerate((name, written) for name in entry.inputs for written in entry.written):
        place = tmp_path / f"out{number}" / written
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            place.rmdir()
        place.symlink_to(inputs / name)
        attempt(entry, inputs, tmp_path / f"out{number}")
        assert unharmed(before, inputs)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_no_input_is_lost_through_hard_links_in_the_place_of_what_is_written(
    entry: Entry, inputs: Path, tmp_path: Path
) -> None:
    before = contents(inputs)
    for number, written in enumerate(entry.written):
        place = tmp_path / f"out{number}" / written
        for name in entry.inputs:
            for path in (inputs / name).rglob("*") if (inputs / name).is_dir() else [inputs / name]:
                if path.is_file() and path.name not in OWN and not (place / path.name).exists():
                    place.mkdir(parents=True, exist_ok=True)
                    os.link(path, place / path.name)
        linked = contents(tmp_path / f"out{number}")
        attempt(entry, inputs, tmp_path / f"out{number}")
        assert unharmed(before, inputs) and unharmed(linked, tmp_path / f"out{number}")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_no_foreign_file_is_lost_that_has_the_name_of_an_output(entry: Entry, inputs: Path, tmp_path: Path) -> None:
    """What a run writes into an empty folder is replaced by somebody else's files of the same names, and it runs
    again."""
    with suppress(InputError):
        entry.run(inputs, tmp_path / "first")
    names = [name for name in contents(tmp_path / "first")] if (tmp_path / "first").is_dir() else []
    for name in names:
        path = tmp_path / "second" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("somebody's work")
    before = contents(tmp_path / "second") if names else {}
    attempt(entry, inputs, tmp_path / "second")
    logs = {name for name in before if name.endswith(".log")}
    assert unharmed({name: digest for name, digest in before.items() if name not in logs}, tmp_path / "second")


@pytest.mark.parametrize("entry", [one for one in ENTRIES if one.name != "report"], ids=lambda entry: entry.name)
def test_every_entry_of_this_hunt_runs_where_nothing_is_in_its_way(entry: Entry, made: Path, tmp_path: Path) -> None:
    inputs = Path(shutil.copytree(made, tmp_path / "inputs"))
    entry.run(inputs, tmp_path / "out")
    assert contents(tmp_path / "out")
