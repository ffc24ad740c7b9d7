"""What a checkup prints, for a bundle and for a list of configs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from custom.doctor.check_command import run_check
from custom.errors import InputError
from tests.folder_entries import entries

FUSION = Path(__file__).resolve().parents[3] / "bundles" / "near_fusion"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FUSION, tmp_path / "near_fusion"))


def test_a_sound_bundle_is_a_line_for_each_list(root: Path) -> None:
    for target in (root, root / "configs"):
        checked = run_check(target)
        assert checked.faults == ()
        lines = checked.text.splitlines()
        assert len(lines) == 3
        assert lines[0].startswith("OK        inference.json: ") and lines[0].endswith(" expressions")
        assert lines[1].startswith("OK        inference.json + evaluate.json: ")
        assert lines[2] == "2 configs in 2 lists: no faults"


def test_a_fault_is_printed_with_its_file_its_id_its_cause_and_what_to_do(root: Path) -> None:
    path = root / "configs" / "inference.json"
    content = json.loads(path.read_text())
    content["repairs"]["inputs"] = "@input"
    content["handlers"][1]["_target_"] = "custom.fusion.skip_faulty_cases.FinishRepair"
    path.write_text(json.dumps(content))
    checked = run_check(str(path))
    assert checked.text.splitlines()[0].startswith("2 wrong   inference.json: ")
    assert checked.text.splitlines()[-1] == "1 config in 1 list: 2 faults"
    assert (
        f"\n\n{path}  repairs::inputs\n    @input is in no config of the list\n    Did you mean @inputs?\n"
        in checked.text
    )
    assert checked.faults == (
        f"{path}  repairs::inputs: @input is in no config of the list. Did you mean @inputs?",
        f"{path}  handlers::1::_target_: custom.fusion.skip_faulty_cases.FinishRepair cannot be imported. "
        "Did you mean custom.fusion.skip_faulty_cases.FinishRepairs?",
    )


def test_configs_are_merged_in_the_order_they_are_given(root: Path) -> None:
    base, overlay = root / "configs/inference.json", root / "configs/evaluate.json"
    assert run_check(base, overlay, resume=False).faults == ()
    assert " 21 targets" in run_check(base, overlay).text
    assert " 20 targets" in run_check(overlay, base).text
    assert any("@preflight" in fault for fault in run_check(overlay).faults)


def test_nothing_is_written(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(entries(tmp_path.rglob("*")))
    run_check(root)
    run_check(root / "configs" / "inference.json", output_dir="elsewhere")
    assert sorted(entries(tmp_path.rglob("*"))) == before


def test_a_config_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    assert run_check(tmp_path / "gone.json").faults == (
        f"{tmp_path}/gone.json  file: there is no such file. Correct the path.",
    )


def test_what_cannot_be_examined_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="found nothing to examine"):
        run_check()
    with pytest.raises(InputError, match="found a folder with 2 targets"):
        run_check(root, root)
    with pytest.raises(InputError, match="found a folder with --seed"):
        run_check(root, seed=1)
    with pytest.raises(InputError, match="found no folder configs; wanted a bundle"):
        run_check(root / "docs")
