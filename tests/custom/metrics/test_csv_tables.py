"""Records to CSV and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from custom.errors import InputError
from custom.metrics.csv_tables import markdown, read_rows, write_rows
from tests.folder_entries import entries


@dataclass(frozen=True)
class Toy:
    name: str
    count: int
    length_mm: float
    held: bool | None
    share: float | None


ROWS = [
    Toy("a,b", 3, 0.1 + 0.2, True, None),
    Toy('q"uote', 0, float("inf"), None, 1 / 3),
    Toy("007", -1, 2.0, False, 0.0),
]


def test_records_come_back_bit_for_bit(tmp_path: Path) -> None:
    write_rows(tmp_path / "new" / "toys.csv", Toy, ROWS)
    assert read_rows(tmp_path / "new" / "toys.csv", Toy) == ROWS


def test_no_records_are_a_header_alone(tmp_path: Path) -> None:
    write_rows(tmp_path / "toys.csv", Toy, [])
    assert (tmp_path / "toys.csv").read_text() == "name,count,length_mm,held,share\n"
    assert read_rows(tmp_path / "toys.csv", Toy) == []


@pytest.mark.parametrize(
    "line", ["a,1,2.0,true", "a,1,2.0,true,1.0,9", "a,x,2.0,true,1.0", "a,1,,true,1.0", "a,1,2.0,True,1.0", ""]
)
def test_a_line_of_another_make_is_refused_by_its_number(line: str, tmp_path: Path) -> None:
    (tmp_path / "toys.csv").write_text(f"name,count,length_mm,held,share\na,1,2.0,,\n{line}\n")
    with pytest.raises(InputError, match=r"toys\.csv: found line 3, which is no row"):
        read_rows(tmp_path / "toys.csv", Toy)


@pytest.mark.parametrize("content", [b"", b"name,count\n", b"\xff\xfe", None])
def test_a_file_of_another_make_or_none_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "toys.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"toys\.csv"):
        read_rows(tmp_path / "toys.csv", Toy)


def test_a_full_disk_leaves_the_old_table_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "toys.csv"
    write_rows(path, Toy, ROWS)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(InputError, match=r"toys\.csv.*No space left"):
        write_rows(path, Toy, [])
    monkeypatch.undo()
    assert read_rows(path, Toy) == ROWS
    assert list(entries(tmp_path.iterdir())) == [path]


def test_a_place_below_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_rows(tmp_path / "file" / "toys.csv", Toy, ROWS)


def test_the_columns_of_markdown_line_up() -> None:
    assert markdown(["a", "bb"], [["ccc", "d"]]) == "| a   | bb |\n| --- | -- |\n| ccc |  d |\n"
