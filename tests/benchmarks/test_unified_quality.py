"""What the quality benchmark of whole hearts writes down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.unified_quality import CONFIGURED, FORMS, against_size, bars, by_structure, chosen, main
from benchmarks.unified_runs import plain_settings
from custom.phantoms.write_cohort import make_cohort


def result(numbers: int, learned: float) -> dict[str, object]:
    size = {"numbers": numbers, "code": 4 * numbers, "field": 60_000, "case": 4 * numbers + 20_000, "label_map": 20_000}
    return {
        "name": f"of {numbers}",
        "learned": {"LA": learned, "Coronary": 0.9},
        "truth": {"LA": 0.93, "Coronary": 0.85},
        "training": {"cpu_seconds": 12.4, "calls": 1},
        "size": size,
    }


def test_bars_are_met_at_their_value_and_a_hundredth_may_be_lost_on_the_truth() -> None:
    text = by_structure(result(2560, 0.97), {"LA": 0.94, "Coronary": 0.87})
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:4]]
    assert rows[0] == ["LA", "0.970", "0.970", "met", "0.930", "0.940", "-0.010", "yes"]
    assert rows[1] == ["Coronary", "0.900", "0.880", "met", "0.850", "0.870", "-0.020", "no"]
    assert "Bars met: 2 of 2. Within 0.01 of the fused labels on the truth: 1 of 2 (not Coronary)." in text
    assert "2560 numbers a case, 10.2 kB; weights for all 60 kB; in all 30.2 kB a case, 1.51 times" in text
    assert "12 CPU seconds." in text
    assert "Bars met: 0 of 1 (not LA)" in bars({"LA": 0.96}, {"LA": 0.9}, {"LA": 0.9})


def test_forms_are_listed_by_the_size_of_their_code() -> None:
    lines = against_size([result(2560, 0.99), result(256, 0.95)], {"LA": 0.94, "Coronary": 0.87}).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["of 256", "of 2560", "fused labels"]
    assert len({line.count("|") for line in lines}) == 1


def test_the_first_form_is_the_bundles_own_and_all_are_settings_of_it() -> None:
    assert chosen("") == [CONFIGURED]
    assert chosen("all") == list(FORMS)
    assert chosen("vector of 256") == ["vector of 256"]
    assert not FORMS[CONFIGURED]
    assert {key for one in FORMS.values() for key in one} <= set(plain_settings())
    with pytest.raises(SystemExit, match="no form 'sphere'"):
        chosen(["sphere"])


def test_a_cohort_is_learned_drawn_and_scored_once(tmp_path: Path) -> None:
    make_cohort(tmp_path / "cohort", cases=2, size=32)
    asked = {"output": str(tmp_path / "out"), "fused": str(tmp_path / "cohort" / "labels"), "quick": True}
    asked |= {"truth": str(tmp_path / "cohort" / "truth"), "max_epochs": 60, "val_interval": 60}
    main(**asked)
    found = json.loads((tmp_path / "out" / "quality.json").read_text())
    (one,) = found["forms"]
    assert one["learned"]["LV"] > 0.3
    assert 4 * one["size"]["numbers"] <= one["size"]["code"] < 4 * one["size"]["numbers"] + 200
    assert one["training"]["calls"] == 1
    assert 0.5 < found["fused"]["LA"] < 1
    best = Path(one["folder"]) / "heart" / "best.pt"
    before = best.stat().st_mtime_ns
    main(**asked)
    assert best.stat().st_mtime_ns == before
    assert json.loads((tmp_path / "out" / "quality.json").read_text()) == found
