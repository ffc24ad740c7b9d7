"""``corfield report``: the page of a finished run again, from its folder alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from custom.cli.main import main
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.output_record import writing_as
from custom.run.json_records import read_record
from custom.run.rewrite_report import run_report
from tests.custom.run.completion_run_helpers import AFFINE, AORTA, LA, LV, complete, constant, given, two_cases


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A completion without references."""
    complete(two_cases(tmp_path / "labels"), tmp_path / "out", constant(tmp_path / "best.pt", ["Aorta"]))
    return tmp_path / "out"


def truth_of(folder: Path, *indices: int) -> Path:
    whole = given(*indices)
    whole[whole == 0] = AORTA
    write_label_map(folder / "a.nii.gz", whole, AFFINE)
    return folder


def test_the_page_is_the_one_the_run_wrote_and_the_run_leaves_it(output: Path, tmp_path: Path) -> None:
    page = output / "report" / "index.html"
    first = page.read_bytes()
    page.unlink()
    assert run_report(output) == page
    assert page.read_bytes() == first
    elsewhere = run_report(output, tmp_path / "shown" / "page.html", shown=1)
    assert elsewhere.read_text(encoding="utf-8").count('<details class="case"') == 1


def test_a_reference_given_later_is_shown_and_not_scored(output: Path, tmp_path: Path) -> None:
    page = run_report(output, reference=truth_of(tmp_path / "truth", LA, LV)).read_text(encoding="utf-8")
    assert page.count('data-version="truth"') == 1 and page.count("axial slice, truth") == 1
    assert "mean Dice, completed" not in page


def test_references_of_the_run_are_shown_again(tmp_path: Path) -> None:
    labels, truth = two_cases(tmp_path / "labels"), truth_of(tmp_path / "truth", LA, LV)
    complete(labels, tmp_path / "out", constant(tmp_path / "best.pt", ["Aorta"]), reference=truth)
    first = (tmp_path / "out" / "report" / "index.html").read_bytes()
    assert run_report(tmp_path / "out").read_bytes() == first and b"mean Dice, completed" in first


def test_the_command_says_where_the_page_is(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["report", str(output)])
    assert str(output / "report" / "index.html") in capsys.readouterr().out


def test_what_is_no_finished_run_is_refused_and_what_is_gone_is_named(output: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place, words in (
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "empty", "no finished repair or completion"),
        (tmp_path / "labels", "no finished repair or completion"),
    ):
        with pytest.raises(InputError, match=words):
            run_report(place)
    with pytest.raises(InputError, match="--cases: found -1"):
        run_report(output, shown=-1)
    write_label_map(tmp_path / "others" / "z.nii.gz", np.ones((3, 5, 7), np.uint8), AFFINE)
    with pytest.raises(InputError, match="no label map of any case"):
        run_report(output, reference=tmp_path / "others")
    (tmp_path / "labels" / "b.nii.gz").unlink()
    with pytest.raises(InputError, match="b.nii.gz: found no such file"):
        run_report(output)


def test_a_page_does_not_take_the_place_of_what_it_shows_or_another_command_has_written(output: Path) -> None:
    told = read_record(output / "shown.json")["told"]
    before = Path(next(iter(told["before"].values())))
    with pytest.raises(InputError, match="found an input which this run would write"):
        run_report(output, before)
    with writing_as("report"), pytest.raises(InputError, match="a file of somebody else"):
        run_report(output, output / "metrics.csv")


def test_measures_of_another_run_are_refused_by_name(output: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(output, tmp_path / "copy"))
    table = copy / "metrics.csv"
    table.write_text(table.read_text().replace("\nb,", "\nother,"))
    with pytest.raises(InputError, match=r"metrics\.csv: found measures of other; wanted those of the run"):
        run_report(copy)
