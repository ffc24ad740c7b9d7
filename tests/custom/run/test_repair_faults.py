"""What goes wrong in the middle of a repair is named, and does not take the rest along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.run import fusion_stage, repair_measures, write_repair_report
from custom.run import repair_labels as repairing
from custom.run.repair_labels import run_repair

from .conftest import asked


def test_a_disk_that_is_full_anywhere_is_one_line(
    hearts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*given: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(repairing, "read_input_cases", fill)
        with pytest.raises(InputError, match="found no room left on the disk; wanted room for the repair"):
            run_repair(asked(hearts / "labels", tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", fill)
        with pytest.raises(InputError, match="found no room left on the disk; wanted room for the repair"):
            run_repair(asked(hearts / "labels", tmp_path))
    for module, name in (
        (repairing, "do_job"),
        (fusion_stage, "fuse"),
        (repair_measures, "measure_case"),
        (write_repair_report, "show"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, fill)
            with pytest.raises(InputError, match="found no room left on the disk; wanted room for the repair"):
                run_repair(asked(hearts / "labels", tmp_path))


def test_a_structure_that_cannot_be_trained_is_named_once_the_others_are_done(
    hearts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = repairing.do_job

    def fails(job: Any) -> float:
        if job.structure == "Coronary":
            raise ValueError("a bad day")
        return plain(job)

    monkeypatch.setattr(repairing, "do_job", fails)
    with pytest.raises(InputError, match=r"1 structures that could not be trained \[Coronary: ValueError: a bad day"):
        run_repair(asked(hearts / "labels", tmp_path))
    assert (tmp_path / "stage1" / "masks" / "LA" / "phantom_001.nii.gz").is_file()
    assert "Traceback" in (tmp_path / "logs" / "Coronary.log").read_text()


def test_the_table_of_the_request_is_changed_as_asked(tmp_path: Path) -> None:
    request = asked(tmp_path, tmp_path, table_changes={"PV": {"components": 4}})
    assert request.table["PV"].components == 4
    assert asked(tmp_path, tmp_path).table == PUBLIC_CARDIAC_CT
