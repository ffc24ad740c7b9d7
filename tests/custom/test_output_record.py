"""Only what this project has written is overwritten or deleted."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from custom.errors import InputError
from custom.files import replacing, write_file
from custom.output_record import (
    RECORD,
    claim,
    is_free,
    is_own,
    is_recorded,
    overwriting,
    record,
    record_event_files,
    remove,
    remove_tree,
    write_as,
    writing_as,
)


def test_a_written_file_is_own_until_it_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "ours")
    assert is_own(path) and is_recorded(path)
    path.write_text("edited")
    assert not is_own(path) and is_recorded(path)


def test_a_file_of_somebody_else_is_neither_overwritten_nor_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("theirs")
    with pytest.raises(InputError, match=r"a.txt: found a file of somebody else.*--overwrite"):
        write_file(path, "ours")
    assert not remove(path)
    assert path.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_edited_file_is_refused_as_edited(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "ours")
    path.write_text("edited")
    with pytest.raises(InputError, match="changed since it was written"):
        write_file(path, "new")
    assert path.read_text() == "edited"


def test_an_own_file_is_overwritten_and_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "one")
    write_file(path, "two")
    assert path.read_text() == "two"
    assert remove(path) and not path.exists()


def test_an_earlier_content_put_back_is_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "one")
    write_file(path, "two")
    path.write_text("one")
    assert is_own(path)


def test_a_copied_folder_keeps_its_record_and_a_copied_file_does_not(tmp_path: Path) -> None:
    write_file(tmp_path / "run" / "a.txt", "ours")
    (tmp_path / "copy").mkdir()
    for name in ("a.txt", RECORD):
        (tmp_path / "copy" / name).write_bytes((tmp_path / "run" / name).read_bytes())
    (tmp_path / "a.txt").write_bytes((tmp_path / "run" / "a.txt").read_bytes())
    assert is_own(tmp_path / "copy" / "a.txt")
    assert not is_own(tmp_path / "a.txt")


def test_with_overwrite_a_foreign_file_is_replaced_and_then_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("theirs")
    with overwriting(True):
        write_file(path, "ours")
    assert path.read_text() == "ours" and is_own(path)
    path.write_text("theirs")
    assert not is_free(path), "the permission ends with the block"


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_link_to_a_file_elsewhere_is_not_own(tmp_path: Path, make: object) -> None:
    target, path = tmp_path / "input.txt", tmp_path / "out" / "a.txt"
    target.write_text("theirs")
    path.parent.mkdir()
    make(target, path)  # type: ignore[operator]
    with pytest.raises(InputError):
        write_file(path, "ours")
    assert not remove(path)
    assert target.read_text() == path.read_text() == "theirs"


def test_a_symbolic_link_in_place_of_an_own_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "ours")
    path.rename(tmp_path / "elsewhere.txt")
    path.symlink_to(tmp_path / "elsewhere.txt")
    assert not remove(path) and path.is_symlink()


def test_a_kill_between_the_line_and_the_file_leaves_the_old_file_own(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, "old")
    record(path, "0" * 32)  # of a file that never took its place
    assert is_own(path)
    write_file(path, "new")


def test_a_torn_line_of_a_full_disk_does_not_spoil_the_next(tmp_path: Path) -> None:
    with open(tmp_path / RECORD, "wb") as stream:
        stream.write(b'["b.txt", "12')
    write_file(tmp_path / "a.txt", "ours")
    assert is_own(tmp_path / "a.txt")


def test_a_tree_loses_its_own_files_and_keeps_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_file(folder / "own.txt", "ours")
    write_file(folder / "deep" / "own.txt", "ours")
    (folder / "kept").mkdir()
    (folder / "kept" / "notes.txt").write_text("theirs")
    assert not remove_tree(folder)
    assert sorted(path.name for path in folder.rglob("*") if path.name != RECORD) == ["kept", "notes.txt"]
    (folder / "kept" / "notes.txt").unlink()
    assert remove_tree(folder) and not folder.exists()


def test_a_tree_does_not_follow_a_link(tmp_path: Path) -> None:
    write_file(tmp_path / "elsewhere" / "own.txt", "ours")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    assert not remove_tree(folder)
    assert (tmp_path / "elsewhere" / "own.txt").is_file()


def test_claimed_files_are_own_whatever_they_hold(tmp_path: Path) -> None:
    claim(tmp_path / "cubes", "*.pt")
    (tmp_path / "cubes" / "x.pt").write_text("any")
    (tmp_path / "cubes" / "x.txt").write_text("any")
    assert is_own(tmp_path / "cubes" / "x.pt") and not is_own(tmp_path / "cubes" / "x.txt")


def test_a_folder_with_foreign_files_of_the_pattern_is_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_text("theirs")
    claim(tmp_path, "*.pt")
    assert not is_own(tmp_path / "best.pt")


def test_a_claimed_folder_goes_with_all_it_holds(tmp_path: Path) -> None:
    claim(tmp_path / "cubes", "tmp*")
    (tmp_path / "cubes" / "tmp77").mkdir()
    (tmp_path / "cubes" / "tmp77" / "half").write_text("any")
    assert remove_tree(tmp_path / "cubes")


def test_brackets_in_a_name_are_no_pattern(tmp_path: Path) -> None:
    write_file(tmp_path / "[a].txt", "ours")
    (tmp_path / "a.txt").write_text("ours")
    assert is_own(tmp_path / "[a].txt") and not is_own(tmp_path / "a.txt")


def test_a_failing_block_records_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.txt"):
        raise RuntimeError
    assert not is_recorded(tmp_path / "a.txt")


def test_what_another_command_has_written_is_not_own(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    with writing_as("phantoms"):
        write_file(path, "a label map")
        assert is_own(path)
    with writing_as("render"):
        assert not is_own(path) and not remove(path)
        with pytest.raises(InputError, match="a file of somebody else"):
            write_file(path, "drawn")
    assert path.read_text() == "a label map"


def test_a_bundle_that_the_same_process_runs_after_another_is_the_writer(tmp_path: Path) -> None:
    for name in ("near_stage1", "near_fusion"):
        write_as(name)
        write_file(tmp_path / f"{name}.txt", b"x")
    with writing_as("near_fusion"):
        assert [is_own(tmp_path / f"{name}.txt") for name in ("near_stage1", "near_fusion")] == [False, True]


def test_a_command_within_another_is_the_writer_and_a_bundle_is_not(tmp_path: Path) -> None:
    with writing_as("repair"):
        write_as("near_stage1")
        write_file(tmp_path / "a", "mask")
        with writing_as("phantoms"):
            write_file(tmp_path / "b", "phantom")
    with writing_as("repair"):
        assert is_own(tmp_path / "a") and not is_own(tmp_path / "b")


def test_a_bundle_after_one_that_ran_inside_a_block_is_the_writer(tmp_path: Path) -> None:
    write_as("near_stage1")
    with writing_as("near_stage1"):
        write_as("unified_implicit")
        write_file(tmp_path / "best.pt", "trained")
    with writing_as("near_stage1"):
        write_as("unified_implicit")
        write_file(tmp_path / "best.pt", "calibrated")
    assert (tmp_path / "best.pt").read_text(encoding="utf-8") == "calibrated"


def test_event_files_of_this_process_alone_are_recorded(tmp_path: Path) -> None:
    own = tmp_path / f"events.out.tfevents.1.{socket.gethostname()}.{os.getpid()}.0"
    other = tmp_path / "events.out.tfevents.1.somewhere.1.0"
    for path in (own, other):
        path.write_text("curve")
    record_event_files(tmp_path)
    own.write_text("a longer curve")
    assert is_own(own) and not is_own(other)
