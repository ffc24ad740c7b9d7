"""Archives whose bytes depend on their content alone."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from custom.errors import InputError
from custom.export.zip_archive import check_output, place, write_archive

FILES = {"b.txt": b"two", "a/c.py": b"", "a.txt": b"one" * 101}


def test_the_same_files_in_any_order_at_any_time_give_the_same_bytes(tmp_path: Path) -> None:
    write_archive(tmp_path / "one.zip", "top", FILES)
    write_archive(tmp_path / "two.zip", "top", dict(reversed(FILES.items())))
    os.utime(tmp_path / "one.zip", (0, 0))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_entries_are_sorted_in_one_folder_with_a_fixed_time_and_readable_by_all(tmp_path: Path) -> None:
    write_archive(tmp_path / "one.zip", "top", FILES)
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        entries = archive.infolist()
        assert {entry.filename: archive.read(entry) for entry in entries} == {f"top/{k}": v for k, v in FILES.items()}
    assert [entry.filename for entry in entries] == ["top/a.txt", "top/a/c.py", "top/b.txt"]
    assert {(entry.date_time, entry.external_attr >> 16) for entry in entries} == {((1980, 1, 1, 0, 0, 0), 0o100644)}


def test_other_content_gives_other_bytes_and_no_files_an_empty_archive(tmp_path: Path) -> None:
    write_archive(tmp_path / "one.zip", "top", FILES)
    write_archive(tmp_path / "two.zip", "top", FILES | {"b.txt": b"too"})
    write_archive(tmp_path / "none.zip", "top", {})
    assert (tmp_path / "one.zip").read_bytes() != (tmp_path / "two.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "none.zip").namelist() == []


@pytest.mark.parametrize("name", ["x.tar", "x", "zip"])
def test_an_archive_is_called_zip(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"wanted X\.zip"):
        check_output(tmp_path / name, overwrite=True)


def test_a_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x.zip").mkdir()
    with pytest.raises(InputError, match="found a folder"):
        check_output(tmp_path / "x.zip", overwrite=True)


def test_an_existing_file_is_refused_unless_it_may_be_overwritten(tmp_path: Path) -> None:
    output, part = tmp_path / "x.zip", tmp_path / ".x.zip.part"
    output.write_bytes(b"old")
    part.write_bytes(b"new")
    with pytest.raises(InputError, match="add --overwrite"):
        place(part, output, overwrite=False)
    assert (output.read_bytes(), part.read_bytes()) == (b"old", b"new")
    place(part, output, overwrite=True)
    assert output.read_bytes() == b"new" and not part.exists()


def test_a_new_file_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"new")
    place(tmp_path / "part", tmp_path / "x.zip", overwrite=False)
    assert (tmp_path / "x.zip").read_bytes() == b"new"
