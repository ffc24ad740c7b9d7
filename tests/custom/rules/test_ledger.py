"""The ledger comes back as it was written, or is refused by name."""

from __future__ import annotations

import csv
import math
import os
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from custom.errors import InputError
from custom.rules.ledger import COLUMNS, Addition, Change, Removal, merge_ledgers, read_ledger, write_ledger
from tests.folder_entries import entries

ISLAND = Removal(
    rule="count",
    structure="Coronary",
    component=3,
    before_mm3=41.125,
    after_mm3=0.0,
    distance_mm=17.25,
    why='beyond the second, "far" off',
    place_mm=(-12.5, 0.75, 103.0),
)
HOLE = Addition(
    rule="fill",
    structure="LV",
    component=0,
    before_mm3=0.0,
    after_mm3=6.0,
    distance_mm=math.nan,
    why="enclosed",
    place_mm=(1.0, -2.0, 3.0),
)


def line(**changed: str) -> str:
    """A line of a ledger as it stands in the file."""
    cells = {"case": "a", "kind": "removal", "rule": "count", "structure": "PV", "component": "1"}
    cells |= {name: "1.0" for name in COLUMNS if name.endswith(("_mm", "_mm3"))} | {"why": "far"} | changed
    return ",".join(cells[name] for name in COLUMNS)


def ledger(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n", encoding="utf-8")
    return path


def same(one: Change, other: Change) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)  # a NaN is not equal to itself


def test_what_was_written_comes_back_in_order_and_by_case(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "ledger.csv"
    write_ledger(path, {"b": [HOLE, ISLAND], "a": [ISLAND]})
    found = read_ledger(path)
    assert list(found) == ["b", "a"]
    assert [same(*pair) for pair in zip(found["b"] + found["a"], [HOLE, ISLAND, ISLAND], strict=True)] == [True] * 3


def test_the_file_is_a_table_of_the_named_columns(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger.csv", {"pat.01": [ISLAND, HOLE]})
    with (tmp_path / "ledger.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert rows[1] == [
        *("pat.01", "removal", "count", "Coronary", "3", "41.125", "0.000", "17.25"),
        *("-12.50", "0.75", "103.00", 'beyond the second, "far" off'),
    ]
    assert rows[2][1] == "addition" and rows[2][7] == ""


def test_one_voxel_of_a_fine_grid_keeps_its_volume(tmp_path: Path) -> None:
    voxel_mm3 = 0.3**3
    write_ledger(tmp_path / "a.csv", {"a": [Addition(**vars(HOLE) | {"after_mm3": voxel_mm3})]})
    assert read_ledger(tmp_path / "a.csv")["a"][0].volume_mm3 == pytest.approx(voxel_mm3)


def test_what_rounds_to_nought_has_no_sign(tmp_path: Path) -> None:
    write_ledger(tmp_path / "a.csv", {"a": [Removal(**vars(ISLAND) | {"place_mm": (-0.001, -0.0, 0.0)})]})
    assert "-0.0" not in (tmp_path / "a.csv").read_text()


def test_an_infinite_distance_comes_back_infinite(tmp_path: Path) -> None:
    write_ledger(tmp_path / "a.csv", {"a": [Removal(**vars(ISLAND) | {"distance_mm": math.inf})]})
    assert read_ledger(tmp_path / "a.csv")["a"][0].distance_mm == math.inf


@pytest.mark.parametrize("why", ["two\nlines", "two\r\nlines", "two\rlines", " two  lines "])
def test_a_reason_stands_on_one_line(why: str, tmp_path: Path) -> None:
    write_ledger(tmp_path / "a.csv", {"a": [Removal(**vars(ISLAND) | {"why": why}), ISLAND]})
    assert [change.why for change in read_ledger(tmp_path / "a.csv")["a"]] == ["two lines", ISLAND.why]
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("case", ["007", "nan", "a,b", 'quoted "name"', "Größe", "  spaced  "])
def test_a_case_keeps_its_name(case: str, tmp_path: Path) -> None:
    write_ledger(tmp_path / "a.csv", {case: [ISLAND]})
    assert list(read_ledger(tmp_path / "a.csv")) == [case]


def test_a_case_without_changes_has_no_line_and_an_empty_ledger_is_one(tmp_path: Path) -> None:
    write_ledger(tmp_path / "a.csv", {"a": [], "b": []})
    assert read_ledger(tmp_path / "a.csv") == {}
    assert (tmp_path / "a.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_the_volume_of_a_change_is_what_changed_hands() -> None:
    assert ISLAND.volume_mm3 == 41.125
    assert HOLE.volume_mm3 == 6.0
    assert Removal(**vars(ISLAND) | {"after_mm3": 40.0}).volume_mm3 == 1.125


def test_a_change_is_not_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ISLAND.rule = "other"  # type: ignore[misc]


def test_a_change_that_neither_removes_nor_adds_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        write_ledger(tmp_path / "a.csv", {"a": [Change(**vars(ISLAND))]})
    assert list(entries(tmp_path.iterdir())) == []


def test_a_ledger_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv: found no such file.*corfield repair"):
        read_ledger(tmp_path / "a.csv")


@pytest.mark.parametrize("content", [b"", b"case,kind\na,removal\n", b"\xff\xfe\x00", b"\n\n"])
def test_a_file_that_is_no_ledger_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.csv.*ledger|a\.csv.*columns"):
        read_ledger(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "bad",
    [
        line(kind="change"),
        line(before_mm3="much"),
        line(component="1.5"),
        line() + ",more",
        line().rsplit(",", 1)[0],  # cut short in the last column
        line().rsplit(",", 4)[0],
        line(why='"never closed'),
    ],
    ids=["kind", "volume", "component", "too long", "no reason", "cut short", "open quote"],
)
def test_a_line_that_is_no_change_is_refused_by_its_number(bad: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv: found line 3, which is no change"):
        read_ledger(ledger(tmp_path / "a.csv", line(), bad))


def test_lines_as_a_spreadsheet_ends_them_are_read(tmp_path: Path) -> None:
    path = ledger(tmp_path / "a.csv", line(), line())
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert [change.why for change in read_ledger(path)["a"]] == ["far", "far"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_ledger_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = ledger(tmp_path / "a.csv", line())
    path.chmod(0)
    with pytest.raises(InputError, match="cannot be read"):
        read_ledger(path)


def test_merging_keeps_the_order_of_the_cases_and_passes_over_those_without_changes(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger" / "a.csv", {"a": [ISLAND]})
    write_ledger(tmp_path / "ledger" / "b.csv", {"b": []})
    write_ledger(tmp_path / "ledger" / "c.csv", {"c": [HOLE, ISLAND]})
    write_ledger(tmp_path / "ledger" / "stale.csv", {"stale": [ISLAND]})
    merged = merge_ledgers(tmp_path / "ledger", tmp_path / "ledger.csv", ["c", "b", "a"])
    assert [(case, len(changes)) for case, changes in merged.items()] == [("c", 2), ("b", 0), ("a", 1)]
    assert [(case, len(changes)) for case, changes in read_ledger(tmp_path / "ledger.csv").items()] == [
        ("c", 2),
        ("a", 1),
    ]


def test_merging_refuses_a_case_without_ledger_and_one_of_another_case(tmp_path: Path) -> None:
    write_ledger(tmp_path / "a.csv", {"a": [ISLAND]})
    with pytest.raises(InputError, match=r"b\.csv: found no such file"):
        merge_ledgers(tmp_path, tmp_path / "all.csv", ["a", "b"])
    write_ledger(tmp_path / "b.csv", {"a": [ISLAND], "b": []})
    with pytest.raises(InputError, match=r"b\.csv: found changes of a; wanted those of b alone"):
        merge_ledgers(tmp_path, tmp_path / "all.csv", ["a", "b"])
    assert not (tmp_path / "all.csv").exists()


def test_a_failed_write_leaves_the_old_ledger_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    write_ledger(path, {"a": [ISLAND]})
    old = path.read_text()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(InputError, match=r"a\.csv.*No space left on device"):
        write_ledger(path, {"a": [HOLE]})
    assert path.read_text() == old
    assert list(entries(tmp_path.iterdir())) == [path]


def test_a_folder_that_cannot_be_made_is_said_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/a\.csv: found a place that cannot be written"):
        write_ledger(tmp_path / "file" / "a.csv", {"a": [ISLAND]})
