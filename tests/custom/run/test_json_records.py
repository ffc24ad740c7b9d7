"""Records: whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.errors import InputError
from custom.run.json_records import digest, read_record, write_record
from tests.folder_entries import entries


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_record(tmp_path / "a" / "b.json", {"x": [1, 2.5], "y": None})
    assert read_record(tmp_path / "a" / "b.json") == {"x": [1, 2.5], "y": None}
    assert [path.name for path in entries((tmp_path / "a").iterdir())] == ["b.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff"])
def test_a_damaged_record_says_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(content)
    assert read_record(tmp_path / "b.json") == {}
    assert read_record(tmp_path / "none.json") == {}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/b.json: found a place that cannot be written"):
        write_record(tmp_path / "file" / "b.json", {})


def test_a_digest_depends_on_values_and_not_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len({digest(1), digest(2), digest("1"), digest(1, 2), digest([1, 2])}) == 5
