"""A table in a file is the same table, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from custom.errors import InputError
from custom.models.near.memory_mapped_table import AUTO_BYTES, MappedTable, TableStorage
from tests.folder_entries import entries


def resident_kb() -> int:
    """Kilobytes of files that are mapped into this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))


def test_a_new_table_is_zero_and_its_file_has_no_name(tmp_path: Path) -> None:
    pages = MappedTable(3, 5, tmp_path / "new" / "folder")
    assert torch.equal(pages.tensor, torch.zeros(3, 5))
    assert list(entries((tmp_path / "new" / "folder").iterdir())) == []


def test_what_was_written_outlasts_letting_it_go(tmp_path: Path) -> None:
    pages = MappedTable(2, 7, tmp_path)
    pages.tensor.copy_(torch.arange(14.0).reshape(2, 7))
    pages.release_pages()
    assert pages.tensor.flatten().tolist() == list(range(14))


def test_pages_that_are_let_go_take_no_memory(tmp_path: Path) -> None:
    pages = MappedTable(11, 2**18, tmp_path)
    before = resident_kb()
    pages.tensor.fill_(1.0)
    assert resident_kb() - before > 10_000
    pages.release_pages()
    assert resident_kb() - before < 1_000


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"no place for 6 MB of codes \(.+\); wanted room .* --codes_on_disk False"):
        MappedTable(3, 500_000, tmp_path / "file")


def test_a_disk_without_room_is_refused_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(InputError, match="no place for 12 MB of codes .No space left on device."):
        MappedTable(3, 1_000_000, tmp_path)


@pytest.mark.parametrize(
    ("on_disk", "table_bytes", "taken"),
    [("auto", AUTO_BYTES, False), ("auto", AUTO_BYTES + 4, True), (True, 4, True), (False, 10 * AUTO_BYTES, False)],
)
def test_auto_takes_large_tables_only(tmp_path: Path, on_disk: bool | str, table_bytes: int, taken: bool) -> None:
    assert TableStorage(tmp_path, on_disk).takes(table_bytes) is taken
