"""A file is known by its content, read once, and never by its size and time alone."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from custom import fingerprints
from custom.fingerprints import FileState, content_digest, digest_if_there, digest_of, file_state


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose bytes were read, in order."""
    noted: list[str] = []

    def noting(path: str | Path) -> str:
        noted.append(Path(path).name)
        return content_digest(path)

    monkeypatch.setattr(fingerprints, "content_digest", noting)
    return noted


def written(path: Path, content: bytes) -> Path:
    """A file that was not changed just now: a state of it can be trusted later."""
    path.write_bytes(content)
    time.sleep(2 * fingerprints.TICK_NS / 1e9)
    return path


def test_a_digest_is_of_the_bytes_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"heart" * 100)
    (tmp_path / "b").write_bytes(b"heart" * 100)
    digest = content_digest(tmp_path / "a")
    assert len(digest) == 32 and content_digest(tmp_path / "b") == digest
    monkeypatch.setattr(fingerprints, "PIECE_BYTES", 7)
    assert content_digest(tmp_path / "a") == digest
    (tmp_path / "b").write_bytes(b"heart" * 99 + b"hears")
    assert content_digest(tmp_path / "b") != digest


def test_a_file_is_read_once_as_long_as_it_does_not_change(tmp_path: Path, reads: list[str]) -> None:
    path = written(tmp_path / "a", b"one")
    first = file_state(path)
    assert file_state(path) == first and digest_of(path) == first.digest
    assert reads == ["a"]
    path.write_bytes(b"two")
    assert file_state(path).digest == content_digest(path) != first.digest
    assert reads == ["a", "a"]


def test_a_known_state_is_taken_without_reading_while_size_times_and_inode_are_its_own(
    tmp_path: Path, reads: list[str]
) -> None:
    path = written(tmp_path / "a", b"one")
    known = FileState.of(json.loads(json.dumps(file_state(path).plain())))
    assert known is not None
    fingerprints._READ.clear()  # as in another process
    assert file_state(path, known) == known and digest_of(path) == known.digest
    assert reads == ["a"]


@pytest.mark.parametrize("how", ["edited, its time restored", "swapped, both times equal"])
def test_other_content_of_the_same_size_and_time_is_another_file(tmp_path: Path, how: str) -> None:
    path, other = written(tmp_path / "a", b"one"), tmp_path / "b"
    known, stat = file_state(path), path.stat()
    if how.startswith("edited"):
        path.write_bytes(b"two")
    else:
        other.write_bytes(b"two")
        os.replace(other, path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    now = file_state(path, known)
    assert (now.bytes, now.mtime_ns) == (known.bytes, known.mtime_ns)
    assert now.digest == content_digest(path) != known.digest


def test_a_copy_and_a_touched_file_have_the_digest_they_had(tmp_path: Path) -> None:
    path = written(tmp_path / "a", b"one")
    known = file_state(path)
    shutil.copy2(path, tmp_path / "copy")
    os.replace(tmp_path / "copy", path)
    assert file_state(path, known).digest == known.digest and file_state(path, known).inode != known.inode
    os.utime(path, (1, 1))
    assert file_state(path, known).digest == known.digest


def test_a_state_taken_within_a_tick_of_the_last_change_is_not_trusted_unread(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for number in range(50):
        path.write_bytes(b"%03d" % number)
        known = file_state(path)
        path.write_bytes(b"%03d" % (number + 500))  # perhaps at the same time, as far as the file system knows
        assert file_state(path, known).digest == digest_of(path) == content_digest(path)


@pytest.mark.parametrize("record", [None, {}, [], {"digest": 3}, {"digest": "a", "bytes": 1, "mtime_ns": 2}])
def test_what_is_no_state_is_none(record: object) -> None:
    assert FileState.of(record) is None


def test_a_file_that_is_not_there_has_no_digest(tmp_path: Path) -> None:
    assert digest_if_there(tmp_path / "none") == digest_if_there(None) == ""
    with pytest.raises(FileNotFoundError):
        file_state(tmp_path / "none")
