"""One run at a time in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.errors import InputError
from custom.run import output_lock
from custom.run.output_lock import only_run_in, unfinished


def test_a_second_run_is_refused_while_the_first_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_lock, "PATIENCE_SECONDS", 0.0)
    refused = pytest.raises(InputError, match=r"found another run at work in it \(process \d+\)")
    with only_run_in(tmp_path), refused, only_run_in(tmp_path):
        pass
    with only_run_in(tmp_path):
        assert (tmp_path / ".corfield_lock").is_file()


def test_a_lock_left_behind_by_a_killed_run_holds_nobody(tmp_path: Path) -> None:
    (tmp_path / ".corfield_lock").write_text("12345\n")
    with only_run_in(tmp_path):
        assert (tmp_path / ".corfield_lock").read_text() != "12345\n"


def test_what_a_killed_run_had_half_written_is_cleared_away(tmp_path: Path) -> None:
    deeper = tmp_path / "repaired" / "LA"
    deeper.mkdir(parents=True)
    halves = [deeper / ".a.nii.gz.77.corfield-part", tmp_path / ".best.pt.77.corfield-part"]
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


def test_a_run_that_fails_before_it_wrote_anything_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_run_in(tmp_path / "new" / "deeper"):
        (tmp_path / "new" / "deeper" / "logs").mkdir()
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), only_run_in(tmp_path):
        raise KeyError
    assert tmp_path.is_dir()


def test_a_run_that_fails_keeps_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_run_in(tmp_path / "new"):
        (tmp_path / "new" / "done.txt").write_text("")
        raise KeyError
    assert (tmp_path / "new" / "done.txt").is_file()


def test_a_lock_that_was_taken_away_while_it_was_waited_for_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []

    def wait(descriptor: int, output: Path) -> None:
        times.append(descriptor)
        if len(times) == 1:
            (output / ".corfield_lock").unlink()

    monkeypatch.setattr(output_lock, "_wait_for", wait)
    with only_run_in(tmp_path):
        assert len(times) == 2 and (tmp_path / ".corfield_lock").is_file()
