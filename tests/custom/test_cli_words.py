"""What is typed is what a command gets: text to the letter, numbers as numbers, and what is neither refused at once."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from custom import __version__
from custom.cli.main import Commands
from tests.custom.command_helpers import COMMANDS, ended

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--cases", "1", "--size", "32"]
NAMES = ["1.10", "2024_11_20", "run#2", "[a]", "007", "None", "1e3", "(x)", "'quoted'", "True", "$x", "@y", "a=b", "-5"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(given: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    before = sorted(Path.cwd().rglob("*"))
    assert ended(given) == 2
    said = capsys.readouterr()
    assert (said.out, sorted(Path.cwd().rglob("*"))) == ("", before)
    line = said.err.splitlines()[-1]
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def corfield(words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell command in which ``corfield`` is the command of this very tree."""
    quoted = f"{sys.executable} -c 'from custom.cli.main import main; main()'"
    return subprocess.run(
        ["bash", "-c", f'corfield() {{ {quoted} "$@"; }}; {words}'],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )


@pytest.mark.parametrize("name", ["1.10", "run#2", "[a]"])
def test_a_folder_is_called_by_the_very_text_that_was_typed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(["phantoms", "--output", name, *SMALL]) == 0
    assert [path.name for path in Path.cwd().iterdir()] == [name]
    assert capsys.readouterr().out == f"1 cases in {name}: truth/ and labels/\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_the_very_text_that_was_typed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for given in ([name, "b"], ["--prediction", name, "b"], ["b", f"--prediction={name}"]):
        assert refusal(["score", *given], capsys).startswith(f"{name}: found no such file or folder")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["score", "1.10", "b"], "1.10: found no such file"),
        (["repair", "run#2", "out"], "run#2: found no such file"),
        (["repair", ".", "out", "--reference", "2024_11_20"], "2024_11_20: found no such folder"),
        (["repair", ".", "out", "--structures", "1_0"], "structure of table 'public_cardiac_ct': found '1_0'"),
        (["repair", ".", "out", "--preset", "'full'"], "--preset: found \"'full'\""),
        (["repair", ".", "out", "--label_table", "1.10"], "label_table: found '1.10'"),
        (["complete", "l", "o", "[a]"], "[a]: found no such file"),
        (["clouds", "l", "o", "--label_table=None"], "label_table: found 'None'"),
        (["check_clouds", "1e3"], "1e3"),
        (["slices", "1.10", "o"], "1.10: found no such folder"),
        (["slices", "1.10", "o", "--centre", "None"], "--centre: found 'None'"),
        (["report", "1.10"], "1.10: found no such folder"),
        (["pack", "2024_11_20", "o"], "2024_11_20: found no such file"),
        (["render", "1.10", "007", "o"], "1.10: found no such folder"),
        (["export", "near#2", "o.zip"], "near#2"),
    ],
)
def test_text_reaches_every_command_to_the_letter(
    given: list[str], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(given, capsys).startswith(found)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        (["phantoms", ""], "OUTPUT"),
        (["phantoms", "--output", ""], "--output"),
        (["phantoms", "--output="], "--output"),
        (["repair", "", "out"], "LABELS"),
        (["repair", ".", "out", "--reference", ""], "--reference"),
        (["score", ".", ".", "--output="], "--output"),
        (["complete", ".", "out", ""], "CHECKPOINT"),
        (["export", "near_fusion", "o.zip", "--checkpoint", ""], "--checkpoint"),
        (["render", "m", "", "o"], "CASE"),
        (["demo", "--output", ""], "--output"),
        (["report", "o", "--page", ""], "--page"),
        (["slices", "d", "o", "--patients="], "--patients"),
        (["check", ""], "TARGETS"),
        (["repair", ".", "out", "--device", ""], "--device"),
    ],
)
def test_an_empty_text_is_refused_by_name(given: list[str], where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(given, capsys).startswith(f"{where}: found an empty text; wanted ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["phantoms", "p", "-c", "1"], "-c: found no such flag; wanted .* Did you mean --cases"),
        (["phantoms", "p", "-o", "out"], "-o: found no such flag; .* Did you mean --output"),
        (["repair", "a", "b", "-x"], "-x: found no such flag"),
        (["repair", "a", "b", "-output", "c"], "-output: found no such flag; .* Did you mean --output"),
        (["check", "bundles", "-x"], "-x: found no such flag"),
        (["repair", "a", "b", "--noseg_nrrd"], "--noseg_nrrd: found no such flag; .* Did you mean --seg_nrrd"),
        (["repair", "a", "b", "--trace"], "--trace: found no such flag"),
        (["version", "--verbose"], "--verbose: found no such flag; wanted no flag. Leave it out"),
        (["phantoms", "p", "3"], "corfield phantoms: found '3', a word too many; wanted no word .* but OUTPUT"),
        (["demo", "out"], "corfield demo: found 'out', a word too many; wanted no word without a flag"),
        (["version", "now"], "corfield version: found 'now', a word too many"),
        (["repair", "a", "b", "c"], "corfield repair: found 'c', a word too many"),
        (["repair", "a", "b", "--", "--trace"], "corfield repair: found '--trace', a word too many"),
        (["repair", "a", "b", "--labels", "c"], "corfield repair: found 'b', a word too many"),
        (["repair", "a", "b", "--seed", "1", "--seed=1"], "--seed: found the flag twice"),
        (["check", "a", "--seed", "1", "--seed=1"], "--seed: found the flag twice"),
        (["clouds", "a", "b", "--near-points", "1", "--near_points=1"], "--near_points: found the flag twice"),
        (["check", "a.json", "--output_dir", "run#2"], "--output_dir: found 'run#2', which arrives as 'run'"),
        (["check", "a.json", "--output_dir=1.10"], "--output_dir: found '1.10', .* Write --output_dir ./1.10"),
        (["repair"], "corfield repair: found no LABELS and OUTPUT; wanted LABELS OUTPUT"),
        (["repair", "a"], "corfield repair: found no OUTPUT"),
        (["repair", "--output", "a"], "corfield repair: found no LABELS"),
        (["render", "--case", "a"], "corfield render: found no MODEL and OUTPUT"),
        (["repair", "a", "b", "--seed"], "--seed: found nothing behind it; wanted a value"),
        (["phantoms", "--output", "-x"], "--output: found nothing behind it; .* is written --output=-"),
        (["repair", "a", "b", "--seed", "1_0"], "--seed: found '1_0'; wanted a whole number"),
        (["repair", "a", "b", "--seed", "1e3"], "--seed: found '1e3'; wanted a whole number"),
        (["repair", "a", "b", "--seed", "9" * 5000], "--seed: found '999"),
        (["repair", "a", "b", "--workers="], "--workers: found ''; wanted a whole number"),
        (["score", "a", "b", "--tolerance_mm", "inf"], "--tolerance_mm: found 'inf'; wanted a number"),
        (["slices", "a", "b", "--spacing_mm", "True"], "--spacing_mm: found 'True'; wanted a number"),
        (["slices", "a", "b", "--window_hu", "low,high"], "--window_hu: found 'low,high'; wanted numbers of HU"),
        (["clouds", "a", "b", "--centre", "(0,0,0)"], "--centre: found '.0,0,0.'; wanted numbers of mm"),
        (["repair", "a", "b", "--table_changes", "{'PV': {}}"], "--table_changes: found .* wanted fields by structure"),
        (["repair", "a", "b", "--seg_nrrd=maybe"], "--seg_nrrd: found 'maybe'; wanted nothing behind it, or =true"),
        (["repair", "--seg_nrrd", "False", "a"], "--seg_nrrd: found 'False' behind it; .* Write --seg_nrrd=false"),
        (["verison"], "verison: found no such command; .* Did you mean version"),
        (["--device", "cpu", "repair"], "--device: found no such command"),
        ([""], "'': found no such command"),
        (["__init__"], "__init__: found no such command"),
    ],
)
def test_what_is_mistyped_is_refused_in_one_line_before_anything_is_done(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(given, capsys)
    assert line == line.strip() and re.match(said, line), line


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("--images", True),
        ("--images=TRUE", True),
        ("--images=False", False),
    ],
)
def test_a_flag_of_truth_is_true_or_false_in_any_case(word: str, value: bool) -> None:
    assert ended(["phantoms", word, "p", *SMALL]) == 0
    assert (Path("p") / "scans").is_dir() == value


def test_behind_two_dashes_a_path_may_begin_with_one() -> None:
    assert ended(["phantoms", *SMALL, "--", "-x"]) == 0
    assert Path("-x/truth").is_dir()


def test_every_parameter_is_of_a_kind_that_can_be_read() -> None:
    """A kind that the reader does not know would be taken for text or fail late."""
    kinds = {"str", "Path", "Path | None", "int", "float", "float | None", "bool", "Any"}
    parameters = [one for name in COMMANDS for one in inspect.signature(getattr(Commands(), name)).parameters.values()]
    assert len(parameters) > 80
    assert [one.name for one in parameters if one.annotation not in kinds] == []


@pytest.mark.parametrize("word", ["--version", "version"])
def test_the_version_is_a_command_and_a_flag(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended([word]) == 0
    assert capsys.readouterr() == (f"{__version__}\n", "")


@pytest.mark.parametrize("words", ["repair --help", "version"])
def test_a_reader_that_has_gone_ends_a_command_quietly(words: str) -> None:
    done = corfield(f"(sleep 0.5; corfield {words}; echo $? >&2) | true")
    assert (done.stdout, done.stderr) == ("", "141\n")


@pytest.mark.parametrize("words", ["--help", f"phantoms p {' '.join(SMALL)}"])
def test_a_full_standard_output_is_one_line_and_exit_code_2(words: str) -> None:
    done = corfield(f"corfield {words} > /dev/full")
    errors = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
    assert done.returncode == 2 and len(errors) == 1
    assert errors[0].startswith(
        "error: standard output: found a place that cannot be written (No space left on device)"
    )


def test_help_needs_no_pager(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PAGER", "false")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert ended(["repair", "--help"]) == 0
    assert "SYNOPSIS" in capsys.readouterr().out


def test_a_foreign_package_of_the_same_name_beside_the_data_is_passed_over(tmp_path: Path) -> None:
    assert ended(["phantoms", "p", "--cases", "2", "--size", "32"]) == 0
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "__init__.py").write_text("raise SystemExit('foreign')")
    script = Path(sys.executable).with_name("corfield")
    done = subprocess.run([script, "score", "p/labels", "p/truth", "--workers", "2"], capture_output=True, text=True)
    assert (done.returncode, "foreign" in done.stderr) == (0, False), done.stderr
