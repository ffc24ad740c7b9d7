"""What a repair ends with: one stage's label maps, stored once, and the ledger that belongs to them."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from custom.errors import InputError
from custom.files import write_file
from custom.rules.ledger import Removal, read_ledger, write_ledger
from custom.run.final_label_maps import final_changes, kept_files, map_of, publish, write_changes
from custom.run.output_lock import unfinished
from tests.folder_entries import entries


def put(output: Path, stage: str, case: str, text: str) -> Path:
    path = map_of(output, stage, case)
    write_file(path, text)
    return path


def test_a_stage_is_published_and_what_it_lacks_is_taken_away(tmp_path: Path) -> None:
    first = put(tmp_path, "fused", "a", "1")
    put(tmp_path, "repaired", "b", "of an earlier run")
    assert publish(tmp_path, ["a", "b"], "fused") == []
    assert [path.name for path in entries((tmp_path / "repaired").iterdir())] == ["a.nii.gz"]
    assert not os.path.samefile(first, tmp_path / "repaired" / "a.nii.gz")


def test_a_published_map_corrected_by_hand_is_kept_and_its_source_unchanged(tmp_path: Path) -> None:
    source = put(tmp_path, "fused", "a", "fused")
    publish(tmp_path, ["a"], "fused")
    place = map_of(tmp_path, "repaired", "a")
    with open(place, "w") as stream:  # in place, as an editor that does not rename
        stream.write("by hand")
    assert publish(tmp_path, ["a"], "fused") == [place]
    assert (place.read_text(), source.read_text()) == ("by hand", "fused")
    corrected, foreign = kept_files(tmp_path, ["a"])
    assert len(corrected) == 1 and str(place) in corrected[0] and foreign == []
    source.unlink()
    publish(tmp_path, ["a"], "fused")
    assert place.read_text() == "by hand"


def test_a_foreign_map_in_the_place_of_a_published_one_is_kept(tmp_path: Path) -> None:
    put(tmp_path, "fused", "a", "fused")
    place = map_of(tmp_path, "repaired", "a")
    place.parent.mkdir()
    place.write_text("theirs")
    assert publish(tmp_path, ["a"], "fused") == [place]
    assert place.read_text() == "theirs"
    corrected, foreign = kept_files(tmp_path, ["a"])
    assert corrected == [] and len(foreign) == 1 and str(place) in foreign[0]


def test_the_other_stage_takes_the_place_of_the_first_and_leaves_it_alone(tmp_path: Path) -> None:
    put(tmp_path, "fused", "a", "fused")
    put(tmp_path, "unified", "a", "unified")
    for final in ("fused", "unified", "unified", "fused"):
        publish(tmp_path, ["a"], final)
        assert map_of(tmp_path, "repaired", "a").read_text() == final
    assert [map_of(tmp_path, stage, "a").read_text() for stage in ("fused", "unified")] == ["fused", "unified"]


def test_a_copy_is_not_made_again_until_its_source_changes(tmp_path: Path) -> None:
    put(tmp_path, "fused", "a", "1")
    publish(tmp_path, ["a"], "fused")
    place = map_of(tmp_path, "repaired", "a")
    written = place.stat()
    publish(tmp_path, ["a"], "fused")
    assert (place.read_text(), place.stat().st_ino) == ("1", written.st_ino)
    put(tmp_path, "fused", "a", "2")
    publish(tmp_path, ["a"], "fused")
    assert place.read_text() == "2"
    assert unfinished(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    put(tmp_path, "fused", "a", "1")
    (tmp_path / "repaired").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"repaired/a\.nii\.gz: found a place that cannot be written"):
        publish(tmp_path, ["a"], "fused")


def crumb(rule: str) -> Removal:
    return Removal(
        rule=rule, structure="LA", component=2, before_mm3=3.0, after_mm3=0.0, distance_mm=math.nan, why="small",
        place_mm=(1.0, 2.0, 3.0),
    )  # fmt: skip


def test_the_ledger_names_the_stage_of_a_rule_if_stage_3_has_the_last_word(tmp_path: Path) -> None:
    write_ledger(tmp_path / "ledger" / "a.csv", {"a": [crumb("drop_crumbs")]})
    write_ledger(tmp_path / "ledger" / "b.csv", {})
    write_ledger(tmp_path / "unified_run" / "ledger" / "a.csv", {"a": [crumb("keep_expected")]})
    rules = {final: [change.rule for change in final_changes(tmp_path, "a", final)] for final in ("fused", "unified")}
    assert rules == {"fused": ["drop_crumbs"], "unified": ["drop_crumbs", "unified keep_expected"]}
    write_changes(tmp_path, ["a", "b"], "unified")
    assert [change.rule for change in read_ledger(tmp_path / "ledger.csv")["a"]] == rules["unified"]
