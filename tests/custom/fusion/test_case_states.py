"""Which cases of a repair are to do, done or at fault, and the files that say so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from custom.anatomy import adjusted, table
from custom.data.label_maps import write_label_map
from custom.fusion import case_states as module
from custom.fusion.case_states import CaseStates
from custom.fusion.load_masks import CaseInputs
from custom.rules.ledger import read_ledger
from tests.custom.fusion.three_cases import AFFINE, labels_of, refusal, repairs_of, save_all, write_cases
from tests.folder_entries import entries


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_cases(tmp_path / "in")


def test_label_maps_lie_in_a_folder_of_their_own_choice_and_are_up_to_date_there_alone(labels: Path) -> None:
    save_all(repairs_of(labels, maps_dir=labels.parent / "fused"))
    assert sorted(path.name for path in entries((labels.parent / "fused").iterdir())) == [
        "a.nii.gz",
        "b.nii.gz",
        "c.nii.gz",
    ]
    assert not (labels.parent / "out" / "repaired").exists()
    assert repairs_of(labels, maps_dir=labels.parent / "fused").done == {"a", "b", "c"}
    assert repairs_of(labels).done == set()


def test_a_case_is_up_to_date_once_it_is_saved_and_not_before(labels: Path) -> None:
    first = repairs_of(labels)
    assert [item["case"] for item in first.items] == ["a", "b", "c"]
    assert {tuple(item["image"].shape) for item in first.items} == {(10, 1, 1, 1)}
    assert not any(first.passes(case) for case in "abc")
    save_all(first)
    assert all(first.passes(case) for case in "abc")
    again = repairs_of(labels)
    assert again.done == {"a", "b", "c"}
    assert read_ledger(again.ledger("b"))["b"][0].before_mm3 == 2.0
    assert repairs_of(labels, resume=False).done == set()


def edit(path: Path) -> None:
    """Another content of the same size, and the same time."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def spoil_input(labels: Path, repairs: CaseStates) -> None:
    write_label_map(labels / "b.nii.gz", labels_of(9), AFFINE)


def edit_output(labels: Path, repairs: CaseStates) -> None:
    edit(repairs.repaired("b"))


def edit_ledger(labels: Path, repairs: CaseStates) -> None:
    edit(repairs.ledger("b"))


def take_ledger_away(labels: Path, repairs: CaseStates) -> None:
    repairs.ledger("b").unlink()


def cut_stamp(labels: Path, repairs: CaseStates) -> None:
    repairs.stamp("b").write_text(repairs.stamp("b").read_text()[:-20])


@pytest.mark.parametrize("spoil", [spoil_input, take_ledger_away, cut_stamp])
def test_a_case_is_done_again_if_input_or_stamp_is_another_or_an_output_is_gone(spoil: Any, labels: Path) -> None:
    save_all(repairs_of(labels))
    spoil(labels, repairs_of(labels))
    again = repairs_of(labels)
    assert again.done == {"a", "c"}
    again.save("b", labels_of(), AFFINE, [])
    assert repairs_of(labels).done == {"a", "b", "c"}


@pytest.mark.parametrize("spoil", [edit_output, edit_ledger])
def test_an_output_that_was_edited_by_hand_is_kept_and_its_case_passed_by(spoil: Any, labels: Path) -> None:
    save_all(repairs_of(labels))
    spoil(labels, repairs_of(labels))
    before = repairs_of(labels).repaired("b").read_bytes(), repairs_of(labels).ledger("b").read_bytes()
    write_label_map(labels / "b.nii.gz", labels_of(9), AFFINE)
    again = repairs_of(labels)
    assert (again.done, again.kept) == ({"a", "b", "c"}, {"b"})
    assert (again.repaired("b").read_bytes(), again.ledger("b").read_bytes()) == before


def test_a_foreign_file_in_the_place_of_an_output_is_the_fault_of_its_case(labels: Path) -> None:
    place = repairs_of(labels).repaired("b")
    place.parent.mkdir(parents=True)
    place.write_text("theirs")
    repairs = repairs_of(labels)
    assert set(repairs.faults) == {"b"} and "no run has written" in str(repairs.faults["b"])
    assert place.read_text() == "theirs"


def test_two_label_maps_of_one_size_and_time_that_are_swapped_are_done_again(labels: Path) -> None:
    write_label_map(labels / "b.nii.gz", labels_of(3), AFFINE)
    paths = [labels / "a.nii.gz", labels / "b.nii.gz"]
    assert len({path.stat().st_size for path in paths}) == 1
    for path in paths:
        os.utime(path, ns=(5, 5))
    save_all(repairs_of(labels))
    os.replace(paths[0], labels / "x")
    os.replace(paths[1], paths[0])
    os.replace(labels / "x", paths[1])
    for path in paths:
        os.utime(path, ns=(5, 5))
    assert repairs_of(labels).done == {"c"}


@pytest.mark.parametrize("how", ["touched", "copied in place", "all copied elsewhere"])
def test_files_with_other_times_or_inodes_or_in_another_place_are_up_to_date(how: str, labels: Path) -> None:
    save_all(repairs_of(labels))
    paths = [path for path in labels.parent.rglob("*") if path.is_file()]
    for path in paths:
        if how == "touched":
            os.utime(path, ns=(1, 1))
        if how == "copied in place":
            shutil.copy2(path, path.with_name("copy"))
            os.replace(path.with_name("copy"), path)
    if how == "all copied elsewhere":
        labels = Path(shutil.copytree(labels.parent, labels.parent / "moved")) / labels.name
    assert repairs_of(labels).done == {"a", "b", "c"}


def test_a_case_whose_files_bring_an_unforeseen_error_is_left_out(
    labels: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain = CaseInputs.check

    def check(one: CaseInputs) -> None:
        if one.case == "b":
            raise MemoryError("27 TiB")
        plain(one)

    monkeypatch.setattr(CaseInputs, "check", check)
    repairs = repairs_of(labels)
    assert set(repairs.faults) == {"b"}
    assert f"{labels}/b.nii.gz: found an error that was not foreseen (MemoryError: 27 TiB)" in str(repairs.faults["b"])
    assert "Traceback" in caplog.text


def test_all_are_done_again_with_other_settings_or_another_version(
    labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_all(repairs_of(labels))
    other = {"table": adjusted(table(), {"PV": {"components": 4}}), "spare_fraction": 0.1}
    assert repairs_of(labels, settings=other).done == set()
    save_all(repairs_of(labels))
    assert repairs_of(labels).done == {"a", "b", "c"}
    monkeypatch.setattr(module, "__version__", "next")
    assert repairs_of(labels).done == set()


def test_what_was_made_of_other_inputs_is_taken_away_before_anything_is_done(labels: Path) -> None:
    first = repairs_of(labels)
    save_all(first)
    spoil_input(labels, first)
    repairs_of(labels)
    assert [first.repaired(case).is_file() for case in "abc"] == [True, False, True]
    assert not first.ledger("b").exists()
    repairs_of(labels, resume=False)  # does all again, but what is there is no other's
    assert [first.repaired(case).is_file() for case in "abc"] == [True, False, True]


def test_a_file_changed_while_it_is_worked_on_counts_as_changed(labels: Path) -> None:
    repairs = repairs_of(labels)
    write_label_map(labels / "b.nii.gz", labels_of(9), AFFINE)
    save_all(repairs)
    assert repairs_of(labels).done == {"a", "c"}


def test_a_case_broken_off_between_its_outputs_has_no_stamp(labels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repairs = repairs_of(labels)
    save_all(repairs)

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_ledger", broken)
    with pytest.raises(KeyboardInterrupt):
        repairs.save("b", labels_of(7), AFFINE, [])
    assert repairs_of(labels).done == {"a", "c"}


def test_what_a_kill_has_left_of_a_case_is_swept_away_when_it_is_done_again(labels: Path) -> None:
    repairs = repairs_of(labels)
    left = repairs.repaired("a").with_name(".a.nii.gz.999999.corfield-part")
    others = repairs.repaired("a").with_name(".aa.nii.gz.999999.corfield-part")
    left.parent.mkdir(parents=True)
    for path in (left, others):
        path.write_text("half")
    repairs.save("a", labels_of(), AFFINE, [])
    assert sorted(path.name for path in entries(left.parent.iterdir())) == [others.name, "a.nii.gz"]


def test_each_process_takes_its_share_and_the_shares_are_all(labels: Path) -> None:
    shares = [list(repairs_of(labels, rank=rank, world_size=2).inputs) for rank in (0, 1)]
    assert shares == [["a", "c"], ["b"]]
    assert list(repairs_of(labels, rank=3, world_size=4).inputs) == []
    assert "--rank: found 2; wanted a number below the 2" in refusal(repairs_of, labels, rank=2, world_size=2)


def test_cases_are_chosen_by_name_and_unknown_ones_named(labels: Path) -> None:
    (labels / "a.nii.gz").rename(labels / "7.nii.gz")
    assert list(repairs_of(labels, only_cases=[7, "c"]).inputs) == ["7", "c"]
    assert list(repairs_of(labels, only_cases="b").inputs) == ["b"]
    assert list(repairs_of(labels, only_cases=7).inputs) == ["7"]
    assert "only_cases: found no case d, e; wanted names among its 3" in refusal(
        repairs_of, labels, only_cases=["b", "d", "e"]
    )


def merged(repairs: CaseStates) -> dict[str, float]:
    changes = read_ledger(repairs.folder / "ledger.csv")
    return {case: own[0].before_mm3 for case, own in changes.items()}


def test_the_ledgers_of_all_finished_cases_are_gathered_whoever_did_them(labels: Path) -> None:
    one, other = (repairs_of(labels, rank=rank, world_size=2) for rank in (0, 1))
    save_all(other)
    other.merge()
    assert merged(other) == {"b": 1.0}
    save_all(one)
    one.merge()
    assert merged(one) == {"a": 1.0, "b": 1.0, "c": 2.0}
    text = (one.folder / "ledger.csv").read_bytes()
    other.merge()
    assert (one.folder / "ledger.csv").read_bytes() == text


def test_a_case_finished_by_another_process_while_the_ledgers_are_written_is_gathered_too(
    labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (repairs_of(labels, rank=rank, world_size=2) for rank in (0, 1))
    save_all(one)
    gather, times = module.merge_ledgers, []

    def slow(*arguments: Any) -> Any:
        if not times:
            save_all(other)
        times.append(arguments)
        return gather(*arguments)

    monkeypatch.setattr(module, "merge_ledgers", slow)
    one.merge()
    assert merged(one) == {"a": 1.0, "b": 1.0, "c": 2.0}
    assert len(times) == 2
