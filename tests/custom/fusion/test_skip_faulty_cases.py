"""Cases at fault are spared and named, the others written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ignite.engine import Engine

from custom.data.label_maps import read_label_map
from custom.errors import InputError
from custom.fusion.case_states import CaseStates
from custom.fusion.skip_faulty_cases import FinishRepairs, SaveRepair, SkipFaultyCases
from custom.rules.ledger import read_ledger
from tests.custom.fusion.three_cases import AFFINE, labels_of, refusal, removal, repairs_of, save_all, write_cases


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_cases(tmp_path / "in")


def merged(repairs: CaseStates) -> dict[str, float]:
    changes = read_ledger(repairs.folder / "ledger.csv")
    return {case: own[0].before_mm3 for case, own in changes.items()}


def test_a_faulty_case_is_left_out_and_what_was_made_of_it_before_is_taken_away(
    labels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_all(repairs_of(labels))
    (labels / "b.nii.gz").write_bytes(b"x")
    repairs = repairs_of(labels)
    assert (repairs.done, set(repairs.faults)) == ({"a", "c"}, {"b"})
    assert repairs.passes("b")
    assert any(text.startswith(f"b is left out: {labels}/b.nii.gz: found") for text in caplog.messages)
    assert not repairs.repaired("b").exists()
    message = refusal(FinishRepairs(repairs), Engine(lambda engine, batch: None))
    assert message.startswith(f"3 cases: found 1 at fault [b: {labels}/b.nii.gz: found a file that cannot be opened")
    assert message.endswith("take them out, and run it again; the other 2 are done.")
    assert list(merged(repairs)) == ["a", "c"]


def test_any_error_in_a_transform_is_the_cases_own_and_its_trace_is_in_the_log(
    labels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repairs = repairs_of(labels)
    asked = []

    def transform(item: dict[str, Any]) -> dict[str, Any]:
        asked.append(item["case"])
        if item["case"] == "b":
            raise InputError("b.nii.gz", "x", "y", "Do z.")
        if item["case"] == "c":
            raise MemoryError("Unable to allocate 27 TiB")
        return {**item, "seen": True}

    sound = SkipFaultyCases([transform], repairs)
    assert sound({"case": "a"}) == {"case": "a", "seen": True}
    assert sound({"case": "b"}) == {"case": "b"}
    assert str(repairs.faults["b"]) == "b.nii.gz: found x; wanted y. Do z."
    assert sound({"case": "b"}) == {"case": "b"}
    assert "Traceback" not in caplog.text
    assert sound({"case": "c"}) == sound({"case": "c"}) == {"case": "c"}
    wanted = f"{labels}/c.nii.gz: found an error that was not foreseen (MemoryError: Unable to allocate 27 TiB);"
    assert str(repairs.faults["c"]).startswith(wanted)
    assert "Traceback" in caplog.text and "in transform" in caplog.text
    assert asked == ["a", "b", "c"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_and_control_c_are_no_cases_fault(labels: Path, error: BaseException) -> None:
    def fails(item: object) -> None:
        raise error

    repairs = repairs_of(labels)
    with pytest.raises((OSError, RuntimeError, KeyboardInterrupt)):
        SkipFaultyCases([fails], repairs)({"case": "a"})
    assert repairs.faults == {}


def test_memory_that_runs_short_while_a_case_is_written_is_its_fault(
    labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object) -> None:
        raise MemoryError

    repairs = repairs_of(labels)
    monkeypatch.setattr("custom.fusion.case_states.write_label_map", short)
    SaveRepair(repairs)({**repairs.items[0], "pred": labels_of(4)[None], "pred_ledger": []})
    assert set(repairs.faults) == {"a"}
    assert not repairs.stamp("a").exists()


def test_an_item_is_saved_with_the_affine_of_its_masks_unless_it_is_passed_by(labels: Path) -> None:
    repairs = repairs_of(labels)
    item = {**repairs.items[0], "pred": labels_of(4)[None], "pred_ledger": [removal(9.0)]}
    item["image"].affine[:] = item["image"].affine.new_tensor(AFFINE)
    SaveRepair(repairs)(item)
    assert json.loads(repairs.stamp("a").read_text())["inputs"] == repairs.fingerprints["a"]
    assert read_ledger(repairs.ledger("a"))["a"][0].before_mm3 == 9.0
    written = read_label_map(repairs.repaired("a"))
    assert (written.labels == 4).all() and np.array_equal(written.affine, AFFINE)
    stat = repairs.repaired("a").stat()
    SaveRepair(repairs)({**item, "pred": labels_of(5)[None]})
    assert repairs.repaired("a").stat() == stat


def test_a_place_that_cannot_be_written_ends_the_run_and_is_no_cases_fault(labels: Path) -> None:
    repairs = repairs_of(labels)
    repairs.folder.mkdir()
    (repairs.folder / "repaired").write_text("")
    item = {**repairs.items[0], "pred": labels_of(4)[None], "pred_ledger": []}
    assert "repaired/a.nii.gz: found a place that cannot be written (" in refusal(SaveRepair(repairs), item)
    assert repairs.faults == {}
