"""What ``--help`` says of every command of ``corfield``."""

from __future__ import annotations

import pytest

from custom.cli.main import asking_for_help
from tests.custom.commands import COMMANDS, ended


@pytest.mark.parametrize(
    "given",
    [["--help"], ["-h"], *([name, "--help"] for name in COMMANDS), ["demo", "-h"]],
)
def test_help_is_given_for_every_command_with_exit_code_0(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(given) == 0
    said = "".join(capsys.readouterr())
    names = {
        "phantoms": ["OUTPUT", "--cases", "--size", "--seed", "--holes"],
        "repair": ["LABELS", "OUTPUT", "--reference", "--structures", "--preset", "quick", "--workers", "ledger.csv"],
        "score": ["PREDICTION", "REFERENCE", "--output", "--tolerance_mm"],
        "export": ["BUNDLE", "OUTPUT", "--layout", "--checkpoint", "--overwrite"],
        "check": ["TARGETS", "--max_epochs"],
        "demo": ["--output", "--size", "--workers"],
        "pack": ["RUN", "OUTPUT", "--labels", "--half", "--overwrite"],
        "render": ["MODEL", "CASE", "OUTPUT", "--spacing_mm", "--meshes"],
        "clouds": ["LABELS", "OUTPUT", "--workers"],
        "check_clouds": ["CLOUDS", "gate.json"],
        "complete": ["LABELS", "OUTPUT", "CHECKPOINT", "--smooth_given", "--structures", "--reference", "source"],
        "report": ["OUTPUT", "--page", "--reference", "--cases", "index.html"],
        "slices": ["DATASET", "OUTPUT", "--window_hu", "--centre", "--patients", "datalist.json"],
    }
    assert all(name in said for name in names.get(given[0], ["phantoms", "repair", "score", "demo", "version"]))


def test_help_after_arguments_is_help_too() -> None:
    assert asking_for_help(["phantoms", "out", "--cases", "3", "--help"]) == ["phantoms", "--", "--help"]
    assert asking_for_help(["phantoms", "out"]) == ["phantoms", "out"]
    assert asking_for_help(["phantoms", "--", "--help"]) == ["phantoms", "--", "--help"]
