"""One run at a time in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.errors import InputError
from custom.pipeline import lock
from custom.pipeline.lock import only_run_in, unfinished


def test_a_second_run_is_refused_while_the_first_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.0)
    refused = pytest.raises(InputError, match=r"found another run at work in it \(process \d+\)")
    with only_run_in(tmp_path), refused, only_run_in(tmp_path):
        pass
    with only_run_in(tmp_path):
        assert (tmp_path / ".lock").is_file()


def test_a_lock_left_behind_by_a_killed_run_holds_nobody(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("12345\n")
    with only_run_in(tmp_path):
        assert (tmp_path / ".lock").read_text() != "12345\n"


def test_what_a_killed_run_had_half_written_is_cleared_away(tmp_path: Path) -> None:
    deeper = tmp_path / "repaired" / "LA"
    deeper.mkdir(parents=True)
    halves = [deeper / ".a.nii.gz.77.part", tmp_path / ".best.pt.77.tmp"]
    whole = [deeper / "a.nii.gz", deeper / ".hidden", tmp_path / "x.part"]
    whole += [tmp_path / ".film.part", deeper / ".session.old.tmp"]  # of other programs
    for path in halves + whole:
        path.write_text("")
    assert sorted(unfinished(tmp_path)) == sorted(halves)
    with only_run_in(tmp_path):
        assert [path.exists() for path in halves + whole] == [False] * 2 + [True] * 5


@pytest.mark.parametrize("folder", ["file/deeper", "/proc/corfield"])
def test_a_folder_that_cannot_be_written_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="found a folder that cannot be written .* Choose another --output"),
        only_run_in(tmp_path / folder),
    ):
        pass
