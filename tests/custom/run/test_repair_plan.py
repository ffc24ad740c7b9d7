"""The plan: what is said before anything costs time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.plausible_size import Size
from custom.errors import InputError
from custom.run import repair_plan as planning
from custom.run.check_label_map import CheckedCase
from custom.run.input_cases import InputCases
from custom.run.repair_plan import (
    RepairPlan,
    check_room,
    chosen_structures,
    format_plan,
    grids,
    heart_bytes,
    in_words,
    make_plan,
    need_bytes,
)
from custom.run.repair_request import RepairRequest
from custom.run.stage1_structures import write_record
from custom.run.time_estimate import heart_seconds, step_seconds, wall_seconds

from .conftest import TINY_HEART


def case(name: str, structures: tuple[str, ...], shape: tuple[int, int, int] = (5, 7, 11)) -> CheckedCase:
    return CheckedCase(name, f"/data/{name}.nii", "1-1", shape, (1.0, 1.5, 2.0), dict.fromkeys(structures, "digest"))


INTAKE = InputCases((case("a", ("LA", "Coronary")), case("b", ("LA", "RV"))), ("c.nii: found nothing",))


@pytest.fixture
def request_of(tmp_path: Path, tiny: dict[str, Any]) -> RepairRequest:
    given: dict[str, Any] = {"overrides": tiny, "unified_overrides": TINY_HEART}
    return RepairRequest(labels=tmp_path, output=tmp_path, workers=2, device="cpu", **given)


def test_structures_asked_for_are_those_that_a_case_holds() -> None:
    assert chosen_structures((), INTAKE, PUBLIC_CARDIAC_CT) == ("LA", "RV", "Coronary")
    assert chosen_structures(("coronary", "8", "2"), INTAKE, PUBLIC_CARDIAC_CT) == ("LA", "Coronary")
    with pytest.raises(InputError, match="Did you mean 'LAA'"):
        chosen_structures(("LAAA",), INTAKE, PUBLIC_CARDIAC_CT)


def test_the_plan_says_all_that_will_happen(request_of: RepairRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"LA": 30.0, "Coronary": 100.0, "RV": 40.0}
    monkeypatch.setattr(planning, "expected_seconds", lambda jobs, present, device: expected)
    monkeypatch.setattr(planning, "heart_seconds", lambda job, cases, device: 300.0)
    plan = make_plan(request_of, INTAKE)
    assert list(plan.jobs) == ["Coronary", "RV", "LA"]
    text = format_plan(plan, request_of.output)
    for line in (
        "cases       2 good, 1 faulty and left out",
        "grid        5 x 7 x 11 voxels of 1 x 1.5 x 2 mm",
        "preset      standard: the structures' own settings",
        "stage 1     Coronary: to be trained, in 1 of 2 cases",
        "            LA: to be trained\n",
        "            in no case: Myocardium, LV, RA, Aorta, PA, LAA, PV",
        "stage 3     whole heart: to be trained on the fused label maps\n",
        "time        about 2 min for stage 1 with 2 workers on cpu, about 5 min for stage 3, by steps timed just now",
    ):
        assert line in text
    assert "taken from the label maps" not in text


def test_sizes_that_no_heart_has_are_in_the_plan(request_of: RepairRequest) -> None:
    large = replace(case("a", ("LA",)), size=Size(240.0, 231.0, 4))
    plan = make_plan(request_of, InputCases((large, case("b", ("LA",))), ()))
    assert "\nsizes       1 case, a: chambers up to 231 mm long" in format_plan(plan, request_of.output)
    assert "\nsizes" not in format_plan(make_plan(request_of, INTAKE), request_of.output)


def test_what_is_left_alone_and_what_is_begun_is_said(request_of: RepairRequest) -> None:
    only = replace(request_of, structures=("LA",))
    job = make_plan(only, INTAKE).jobs["LA"]
    write_record(job.record, {"train_key": job.train_key})
    (job.run_dir / "last.pt").write_text("")
    text = format_plan(make_plan(only, INTAKE), only.output)
    assert "stage 1     LA: begun; goes on where it stopped" in text
    assert "taken from the label maps: RV, Coronary" in text


def test_coarse_grids_are_cautioned_about(request_of: RepairRequest) -> None:
    coarse = replace(INTAKE, cases=tuple(replace(one, spacing_mm=(3.6, 3.6, 3.6)) for one in INTAKE.cases))
    assert "\ncaution     " in format_plan(make_plan(request_of, coarse), request_of.output)
    assert "\ncaution" not in format_plan(make_plan(request_of, INTAKE), request_of.output)


def test_a_data_set_without_structures_has_a_plan_too(request_of: RepairRequest) -> None:
    plan = make_plan(request_of, InputCases((case("a", ()),), ()))
    assert (plan.jobs, plan.wall_seconds) == ({}, 0.0)
    assert (plan.heart, plan.heart_seconds) == (None, 0.0)
    text = format_plan(plan, request_of.output)
    assert "stage 3     left out" in text
    assert "time        nothing is left to train" in text


def test_a_disk_too_small_is_refused_with_both_sizes(request_of: RepairRequest) -> None:
    plan: RepairPlan = make_plan(request_of, INTAKE)
    check_room(plan, request_of.output)
    small = replace(plan, need_bytes=3_000_000_000, free_bytes=1_000_000)
    with pytest.raises(InputError, match="found 1.0 MB free; wanted about 3,000 MB for this repair. Free some space"):
        check_room(small, request_of.output)
    with pytest.raises(InputError, match="found 2.5 MB free; wanted about 2.6 MB"):
        check_room(replace(plan, need_bytes=2_600_000, free_bytes=2_500_000), request_of.output)


def test_room_is_needed_for_what_is_not_done_and_for_as_many_cubes_as_workers(request_of: RepairRequest) -> None:
    plan = make_plan(request_of, INTAKE)
    cases, jobs = INTAKE.cases, plan.jobs
    done = dict.fromkeys(jobs, "done")
    new = dict.fromkeys(jobs, "new")
    voxels, cube, code = 2 * 385, 2 * (2 * 24**3), 4 * 8**3
    assert need_bytes(jobs, done, cases, 2) == int(0.3 * voxels + 1e6)  # type: ignore[arg-type]
    one, two = (need_bytes(jobs, new, cases, workers) for workers in (1, 2))  # type: ignore[arg-type]
    assert two - one == cube + 2 * 24 * code
    assert one == int(0.3 * voxels + 1e6 + 3 * (2 * 4 * code + 0.05 * voxels + 1e6) + cube + 2 * 24 * code)


def test_stage_3_needs_room_for_its_codes_its_boxes_and_what_its_teachers_say(request_of: RepairRequest) -> None:
    plan = make_plan(request_of, INTAKE)
    code, voxels, pool = 4 * 4**3 + 6**3, 2 * 385, 256
    assert heart_bytes(plan.heart, "new", INTAKE.cases) == int(2 * (40 * code + 40 * pool) + 6.1 * voxels + 2e6)
    assert heart_bytes(plan.heart, "done", INTAKE.cases) == heart_bytes(None, "done", INTAKE.cases) == 0
    without = make_plan(replace(request_of, skip_unified=True), INTAKE)
    assert plan.need_bytes - without.need_bytes == heart_bytes(plan.heart, "new", INTAKE.cases)


def test_stage_3_takes_longer_the_more_points_it_asks(request_of: RepairRequest) -> None:
    job = make_plan(request_of, INTAKE).heart
    assert job is not None
    other = {**job.train_settings, "points_per_structure": 4096, "max_epochs": 20}
    longer = replace(job, train_settings=other)
    assert 0 < heart_seconds(job, 2, "cpu") < heart_seconds(longer, 2, "cpu")


def test_the_last_of_several_workers_ends_the_wait() -> None:
    assert wall_seconds({"a": 5.0, "b": 4.0, "c": 3.0, "d": 3.0}, 2) == 8.0
    assert wall_seconds({"a": 5.0}, 4) == 5.0
    assert wall_seconds({}, 2) == 0.0


def test_a_step_takes_longer_over_more_cases(tiny: dict[str, Any]) -> None:
    assert step_seconds(tiny, 1, "cpu") > 0
    assert step_seconds(tiny, 600, "cpu") > step_seconds(tiny, 2, "cpu")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0 s"), (89.4, "89 s"), (90.0, "2 min"), (3600.0, "60 min"), (9000.0, "2.5 h")]
)
def test_a_length_of_time_is_said_in_one_unit(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_other_grids_are_counted() -> None:
    others = [case(name, (), (3, 3, index)) for index, name in enumerate("xyz", start=2)]
    assert grids([case("a", ()), case("b", ()), *others]) == "5 x 7 x 11 voxels of 1 x 1.5 x 2 mm, and 3 other grids"
