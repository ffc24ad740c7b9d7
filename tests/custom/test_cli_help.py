"""What ``--help`` says of every command of ``corfield``."""

from __future__ import annotations

import inspect
from dataclasses import asdict

import pytest

from custom.cli.main import Commands
from custom.phantoms.damage import Defects
from tests.custom.command_helpers import COMMANDS, ended


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


@pytest.mark.parametrize(
    "given", [["phantoms", "out", "--cases", "3", "--help"], ["phantoms", "--", "--help"], ["phantoms", "-h", "out"]]
)
def test_help_after_arguments_is_help_too(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(given) == 0
    assert "corfield phantoms OUTPUT" in capsys.readouterr().out


@pytest.mark.parametrize("given", [[], ["--help"], ["repair", "--help"]])
def test_help_is_plain_text_on_standard_output_and_names_no_flag_that_is_refused(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(given) == 0
    said = capsys.readouterr()
    assert said.err == "" and "\x1b" not in said.out and "-r, " not in said.out


def test_the_list_of_commands_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for code in ("0 done", "1 something was left out", "2 refused", "130 stopped by Ctrl-C"):
        assert code in text


def test_the_damage_that_phantoms_takes_is_all_there_is() -> None:
    parameters = inspect.signature(Commands.phantoms).parameters
    assert {name: parameters[name].default for name in Defects.__dataclass_fields__} == asdict(Defects())
