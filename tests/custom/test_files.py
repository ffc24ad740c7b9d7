"""A file is there whole, as before, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.errors import InputError
from custom.files import check_folder, replacing, write_file
from tests.folder_entries import entries


def test_a_file_is_written_with_the_folders_it_lies_in(tmp_path: Path) -> None:
    write_file(tmp_path / "one" / "two" / "a.txt", "mm³")
    write_file(tmp_path / "b", b"\x00\xff")
    assert (tmp_path / "one" / "two" / "a.txt").read_bytes() == "mm³".encode()
    assert (tmp_path / "b").read_bytes() == b"\x00\xff"
    assert [path.name for path in entries((tmp_path / "one" / "two").iterdir())] == ["a.txt"]


def test_until_the_block_ends_the_old_file_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == path.parent
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, OSError(28, "No space left on device")])
def test_a_block_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "old")
    with pytest.raises((KeyboardInterrupt, RuntimeError, InputError)), replacing(path) as part:
        part.write_text("half of the n")
        raise error
    assert path.read_text() == "old"
    assert [one.name for one in entries(tmp_path.iterdir())] == ["a.txt"]


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError) as raised:
        write_file(tmp_path / "file" / "a.txt", "new")
    told = r"found a place that cannot be written (File exists); wanted a writable file. Choose another output folder"
    assert str(raised.value).startswith(f"{tmp_path / 'file' / 'a.txt'}: {told}")
    with (
        pytest.raises(InputError, match=r"wanted room\. Free some\.$"),
        replacing(tmp_path / "file" / "b", "room", "Free some."),
    ):
        pass
    assert (tmp_path / "file").read_text() == "no folder"


def test_a_folder_that_cannot_be_made_or_written_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder, why in (
        ("file", "Not a directory"),
        ("file/deeper", "Not a directory"),
        ("a" * 300, "File name too long"),
    ):
        with pytest.raises(InputError, match=rf"found a folder that cannot be written \({why}\).* Do it otherwise"):
            check_folder(tmp_path / folder, "Do it otherwise.")
    with pytest.raises(InputError, match=r"/proc/corfield: found a folder that cannot be written"):
        check_folder(Path("/proc/corfield"))


def test_a_folder_that_is_checked_is_left_as_it_was(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "one" / "two", tmp_path / "new" / ".." / "other"):
        check_folder(folder)
    assert list(tmp_path.iterdir()) == []
