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

from custom.pipeline.lock import unfinished
from custom.pipeline.repair import run_repair
from custom.pipeline.request import Request

from .conftest import TINY

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
TWO = ("LA", "Coronary")
REPAIR = """
import json, sys
from pathlib import Path
from custom.pipeline.repair import run_repair
from custom.pipeline.request import Request
given = json.loads(sys.argv[1])
given |= {name: Path(given[name]) for name in ("labels", "output")}
run_repair(Request(**given), print)
"""
COMMAND = "import json, sys; from custom.cli.main import main; main(json.loads(sys.argv[1]))"


def started(script: str, argument: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", script, json.dumps(argument)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


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


def repaired(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((output / "repaired").iterdir())}


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
    whole = Request(
        labels=hearts / "labels", output=tmp_path / "whole", structures=TWO, workers=1, device="cpu", overrides=TINY
    )
    run_repair(whole)
    output = tmp_path / "out"
    given = {
        "labels": str(hearts / "labels"), "output": str(output), "structures": TWO, "workers": 2, "device": "cpu",
        "overrides": TINY,
    }  # fmt: skip
    for moment in ("stage1/*/*.pt", "stage1/masks/*/*.nii.gz", "repaired/*.nii.gz"):
        kill_at(output, moment, given)
    process = started(REPAIR, given)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert repaired(output) == repaired(tmp_path / "whole")
    assert (output / "metrics.csv").read_bytes() == (tmp_path / "whole" / "metrics.csv").read_bytes()
    assert (output / "ledger.csv").read_bytes() == (tmp_path / "whole" / "ledger.csv").read_bytes()
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
