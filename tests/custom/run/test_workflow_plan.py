"""A repair cut up into jobs: what is asked, how cases are shared out, and what is read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from custom.errors import InputError
from custom.run.check_label_map import CheckedCase
from custom.run.repair_request import RepairRequest
from custom.run.workflow_plan import WorkflowPlan, batches_of, read_workflow_plan, request_of, write_workflow_plan

ASKED: dict[str, Any] = {"labels": "maps", "output": "out", "structures": "LA, PV", "preset": "quick"}


def test_what_is_asked_is_read_as_it_was_typed() -> None:
    typed = ASKED | {
        "reference": "",
        "seed": 3,
        "seg_nrrd": True,
        "final": "unified",
        "unified_overrides": {"max_epochs": "9"},
        "table_changes": {"PV": {"components": "4", "hole_mm3": "2.5"}},
        "overrides": {"max_epochs": "12", "trunk_channels": ["8", "4"], "loss": "bce", "amp": "false"},
    }
    assert request_of(typed) == RepairRequest(
        labels=Path("maps"),
        output=Path("out"),
        structures=("LA", "PV"),
        preset="quick",
        device="cpu",
        seg_nrrd=True,
        final="unified",
        unified_overrides={"max_epochs": 9},
        seed=3,
        table_changes={"PV": {"components": 4, "hole_mm3": 2.5}},
        overrides={"max_epochs": 12, "trunk_channels": [8, 4], "loss": "bce", "amp": False},
    )


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"presett": "quick"}, "presett"),
        ({"labels": ""}, "--config labels=PATH"),
        ({"output": None}, "--config output=PATH"),
        ({"overrides": "fast"}, "overrides"),
        ({"unified_overrides": "fast"}, "unified_overrides"),
        ({"skip_unified": "perhaps"}, "skip_unified"),
        ({"table_changes": "more"}, "table_changes"),
        ({"seg_nrrd": "perhaps"}, "seg_nrrd"),
    ],
)
def test_what_cannot_be_used_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        request_of(ASKED | wrong)


def test_five_cases_in_batches_of_two_are_three_batches() -> None:
    assert batches_of(("a", "b", "c", "d", "e"), 2) == {"0000": ("a", "b"), "0001": ("c", "d"), "0002": ("e",)}
    assert batches_of((), 2) == {}


def test_a_batch_has_at_least_one_case() -> None:
    with pytest.raises(InputError, match="cases_per_job: found 0"):
        batches_of(("a",), 0)


@pytest.fixture
def cases() -> tuple[CheckedCase, ...]:
    first = CheckedCase("a", "/maps/a.nii.gz", "1-2", (3, 5, 7), (1.0, 2.0, 0.5), {"LA": "11", "RV": "12"})
    return first, replace(first, name="b", path="/maps/b.nii.gz", structures={"LA": "13"})


def test_what_was_written_is_read_back(cases: tuple[CheckedCase, ...], tmp_path: Path) -> None:
    made = WorkflowPlan(request_of(ASKED), cases, ("c: found nothing",), batches_of(("a", "b"), 1))
    write_workflow_plan(tmp_path / "plan.json", ASKED, made)
    assert read_workflow_plan(tmp_path / "plan.json") == made


def test_a_structure_asked_for_that_no_case_has_is_not_trained(cases: tuple[CheckedCase, ...]) -> None:
    made = WorkflowPlan(request_of(ASKED), cases, (), {})
    assert made.structures == ("LA",)


def test_a_blueprint_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plan\.json: found no plan"):
        read_workflow_plan(tmp_path / "plan.json")
