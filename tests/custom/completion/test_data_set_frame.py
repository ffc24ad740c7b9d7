"""One frame for all clouds of a run: by the data, by the network it begins with, or as it was asked for."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom.completion.case_items import completion_items
from custom.completion.data_set_frame import network_scale_mm
from custom.completion.training_clouds import frame_of, with_clouds
from custom.data.label_maps import write_label_map
from custom.errors import InputError
from custom.surfaces.cloud_datalist import write_listing
from custom.surfaces.point_cloud import Cloud
from custom.surfaces.quality_gate import MADE_OF, read_gate, write_gate
from custom.training.checkpoint_file import save_atomically

SHAPE = (23, 19, 29)


def write(folder: Path, name: str, edge_mm: float) -> None:
    """A label map of 21 x 7 x 13 voxels with two chambers; the furthest face lies 10.5 voxels from the middle."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:13, 5:12, 6:19] = 3
    labels[13:22, 5:12, 6:19] = 5
    write_label_map(folder / f"{name}.nii.gz", labels, np.diag([edge_mm] * 3 + [1.0]))


def made(labels: Path, clouds: Path, **settings: Any) -> list[dict[str, Any]]:
    return with_clouds(completion_items(labels), clouds, points=200, **settings)


def scales(items: list[dict[str, Any]]) -> list[float]:
    return [Cloud.read(item["cloud"]).scale_mm for item in items]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """One heart that the default frame holds: it reaches 84 mm from the middle of its grid."""
    write(tmp_path / "labels", "a", 8.0)
    return tmp_path / "labels"


def network(path: Path, scale_mm: float) -> Path:
    save_atomically({"settings": {"frame": {"scale_mm": scale_mm, "centre_mm": []}}}, path)
    return path


def test_a_cohort_that_grows_by_a_larger_heart_has_all_its_clouds_made_again_in_one_frame(
    labels: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert scales(made(labels, tmp_path / "clouds")) == [100.0]
    write(labels, "b", 12.0)
    with caplog.at_level(logging.INFO, "custom"):
        items = made(labels, tmp_path / "clouds")
    assert scales(items) == [130.0, 130.0]
    assert frame_of(items) == {"scale_mm": 130.0, "centre_mm": []}
    assert "a cube of 260 mm round each centre, --scale_mm 130; b reaches the furthest, 126 mm" in caplog.text
    assert read_gate(tmp_path / "clouds")["b.npz"][MADE_OF]["scale_mm"] == 130.0


def test_clouds_made_before_the_frame_was_a_setting_are_up_to_date(labels: Path, tmp_path: Path) -> None:
    (item,) = made(labels, tmp_path / "clouds")
    gate = read_gate(tmp_path / "clouds")
    assert "scale_mm" not in gate["a.npz"][MADE_OF]
    before = Path(item["cloud"]).stat().st_mtime_ns
    made(labels, tmp_path / "clouds")
    made(labels, tmp_path / "clouds", scale_mm=100)
    assert Path(item["cloud"]).stat().st_mtime_ns == before


def test_a_scale_that_was_asked_for_and_is_too_small_is_refused_before_a_cloud_is_made(
    labels: Path, tmp_path: Path
) -> None:
    write(labels, "b", 12.0)
    with pytest.raises(InputError, match=r"found 110, beyond which 1 of 2 cases reach: b \(126 mm\); .* at least 130"):
        made(labels, tmp_path / "clouds", scale_mm=110)
    assert not list((tmp_path / "clouds").glob("*.npz"))
    assert scales(made(labels, tmp_path / "clouds", scale_mm=140)) == [140.0, 140.0]


def test_a_run_keeps_the_frame_of_its_network_and_the_log_names_what_that_does_not_hold(
    labels: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(labels, "b", 12.0)
    networks = [tmp_path / "none.pt", network(tmp_path / "best.pt", 100.0)]
    with caplog.at_level(logging.WARNING, "custom"):
        assert scales(made(labels, tmp_path / "clouds", networks=networks)) == [100.0, 100.0]
    assert "1 of 2 cases reach beyond the frame of 100 mm: b (126 mm)" in caplog.text
    assert "only a frame of 130 mm would hold them" in caplog.text
    with pytest.raises(InputError, match=r"--scale_mm: found a frame of 130 mm; wanted 100 mm, that of .*best.pt"):
        made(labels, tmp_path / "clouds", networks=networks, scale_mm=130)


def test_clouds_that_are_there_in_a_frame_that_was_asked_for_are_used_with_a_warning(
    labels: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(labels, "b", 12.0)
    made(labels, tmp_path / "clouds", networks=[network(tmp_path / "best.pt", 100.0)])
    with caplog.at_level(logging.WARNING, "custom"):
        made(labels, tmp_path / "clouds", scale_mm=100)
    assert "b (126 mm)" in caplog.text


def test_clouds_that_were_made_beforehand_bring_their_frame_and_another_one_among_them_is_refused(
    labels: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(labels, "b", 12.0)
    prepared = tmp_path / "prepared"
    made(labels, prepared, networks=[network(tmp_path / "best.pt", 100.0)])
    write_listing(prepared, {name: labels / f"{name}.nii.gz" for name in "ab"}, dict.fromkeys("ab", "training"))
    listed = completion_items(prepared / "datalist.json")
    with caplog.at_level(logging.WARNING, "custom"):
        assert scales(with_clouds(listed, tmp_path / "never")) == [100.0, 100.0]
    assert "1 of 2 cases reach beyond the frame of 100 mm: b (12" in caplog.text
    with pytest.raises(InputError, match="--scale_mm: found a frame of 130 mm; wanted 100 mm, that of .*a.npz"):
        with_clouds(listed, tmp_path / "never", scale_mm=130)
    made(labels, tmp_path / "other")
    (prepared / "b.npz").write_bytes((tmp_path / "other" / "b.npz").read_bytes())
    write_gate(prepared, read_gate(prepared) | {"b.npz": read_gate(tmp_path / "other")["b.npz"]})
    with pytest.raises(InputError, match=r"b.npz: found a frame of 130 mm, of 1 clouds in all; wanted one of 100 mm"):
        with_clouds(listed, tmp_path / "never")


def test_clouds_of_another_program_in_the_folder_are_not_overwritten_for_their_frame(
    labels: Path, tmp_path: Path
) -> None:
    made(labels, tmp_path / "clouds", scale_mm=140)
    gate = read_gate(tmp_path / "clouds")
    write_gate(tmp_path / "clouds", {"a.npz": {key: one for key, one in gate["a.npz"].items() if key != MADE_OF}})
    with pytest.raises(InputError, match=r"a.npz: found a frame of 140 mm.*one of 100 mm, as of the data.*--scale_mm"):
        made(labels, tmp_path / "clouds")
    assert scales(made(labels, tmp_path / "clouds", scale_mm=140)) == [140.0]


def test_a_label_map_is_measured_once_and_again_when_it_has_changed(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(labels, tmp_path / "clouds")
    assert json.loads((tmp_path / "clouds" / "extents.json").read_text())["a"]["reach_mm"] == 84.0
    write(labels, "a", 10.0)
    assert scales(made(labels, tmp_path / "clouds")) == [110.0]

    def never(*arguments: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("custom.completion.data_set_frame.read_label_map", never)
    assert scales(made(labels, tmp_path / "clouds")) == [110.0]


def test_sizes_that_no_heart_has_are_named_once_a_cohort(
    labels: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(labels, "b", 12.0)
    with caplog.at_level(logging.WARNING, "custom"):
        made(labels, tmp_path / "clouds")
    (said,) = [record.getMessage() for record in caplog.records if "chambers" in record.getMessage()]
    assert said.startswith("1 case, b: chambers up to 252 mm long")
    write(labels, "c", 0.5)
    with pytest.raises(InputError, match=r"c.nii.gz: found a heart 10.5 mm long; .* \(in centimetres"):
        made(labels, tmp_path / "clouds")


def test_what_is_no_checkpoint_says_nothing_of_a_frame(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no checkpoint")
    assert [network_scale_mm(path) for path in ("", tmp_path / "none.pt", tmp_path / "text.pt")] == [0.0, 0.0, 0.0]
