"""The same inputs give the same results as when the digests were recorded, whatever was moved or renamed since."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.parity.digests import RECORD, digests_of, machine
from tests.parity.runs import RUNS

RECORDED = json.loads(RECORD.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RUNS))
def test_a_run_writes_what_it_wrote(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if RECORDED["machine"] != machine():
        pytest.skip(f"recorded on another machine ({RECORDED['machine']}): rounding may differ")
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    RUNS[name].do(tmp_path)
    found, wanted = digests_of(tmp_path, RUNS[name].files), RECORDED["runs"][name]
    differ = sorted(path for path in found.keys() | wanted.keys() if found.get(path) != wanted.get(path))
    assert differ == []
