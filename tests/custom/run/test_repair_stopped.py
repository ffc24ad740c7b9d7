"""A repair that is stopped, and the same command again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from custom.run.output_lock import unfinished
from custom.run.repair_labels import run_repair
from custom.run.repair_request import RepairRequest
from tests.folder_entries import entries

from .conftest import TINY, TINY_HEART

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
TWO = ("LA", "Coronary")
REPAIR = """
import json, sys
from pathlib import Path
from custom.run.repair_labels import run_repair
from custom.run.repair_request import RepairRequest
given = json.loads(sys.argv[1])
given |= {name: Path(given[name]) for name in ("labels", "output")}
run_repair(RepairRequest(**given), print)
"""
COMMAND = "import json, sys; from custom.cli.main import main; main(json.loads(sys.argv[1]))"


def started(script: str, argument: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", script, json.dumps(argument)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, preexec_fn=_hear_control_c
    )


def _hear_control_c() -> None:
    """What a shell starts in the background ignores it, and so would all that is started from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def children(process_id: int) -> list[int]:
    tasks = Path(f"/proc/{process_id}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def wait_for(condition: Any, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def made(output: Path) -> dict[str, bytes]:
    """What a repair ends with: label maps of both stages, the package, tables."""
    patterns = ("repaired/*", "fused/*", "unified/*", "model/*", "metrics.csv", "ledger.csv", "unified_run/ledger.csv")
    paths = [path for pattern in patterns for path in sorted(entries(output.glob(pattern)))]
    return {str(path.relative_to(output)): path.read_bytes() for path in paths}


def kill_at(output: Path, moment: str, given: dict[str, Any]) -> None:
    """Begin a repair, and kill it as soon as there is such a file; its workers must die of it."""
    process = started(REPAIR, given)
    try:
        wait_for(lambda: any(output.glob(moment)) or process.poll() is not None)
        own = children(process.pid)
    finally:
        process.kill()
        process.communicate()
    wait_for(lambda: not any(alive(child) for child in own), 10.0)


def test_killed_at_any_moment_and_begun_again_it_ends_with_the_same_bytes(hearts: Path, tmp_path: Path) -> None:
    tiny: dict[str, Any] = {
        "overrides": TINY,
        "unified_overrides": {**TINY_HEART, "cpu_threads": 1, "max_epochs": 40, "val_interval": 2},
    }
    tiny["unified_overrides"]["save_seconds"] = 0.01
    whole = RepairRequest(
        labels=hearts / "labels", output=tmp_path / "whole", structures=TWO, workers=1, device="cpu", **tiny
    )
    run_repair(whole)
    output = tmp_path / "out"
    given = {
        "labels": str(hearts / "labels"), "output": str(output), "structures": TWO, "workers": 2, "device": "cpu",
        **tiny,
    }  # fmt: skip
    moments = ["stage1/*/*.pt", "stage1/masks/*/*.nii.gz", "fused/*.nii.gz", "unified_run/heart/last.pt"]
    for moment in (*moments, "unified_run/maps/*.nii.gz", "unified/*.nii.gz"):
        kill_at(output, moment, given)
    process = started(REPAIR, given)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    ends, same = made(output), made(tmp_path / "whole")
    assert len(same) == 2 + 2 + 2 + 4 + 3
    assert {name for name in ends | same if ends.get(name) != same.get(name)} == set()
    assert unfinished(output) == []


def test_control_c_ends_the_workers_says_so_and_leaves_with_130(hearts: Path, tmp_path: Path) -> None:
    words = ["repair", str(hearts / "labels"), "--output", str(tmp_path / "out"), "--workers", "2", "--device", "cpu"]
    process = started(COMMAND, words)
    try:
        wait_for(lambda: len(list((tmp_path / "out").glob("stage1/*/run.json"))) == 2)
        own = children(process.pid)
        assert len(own) >= 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.endswith("stopped; the same command goes on where it stopped\n")
    assert "Traceback" not in err
    wait_for(lambda: not any(alive(child) for child in own), 10.0)
