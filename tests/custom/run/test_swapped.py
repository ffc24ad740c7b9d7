"""Label maps of one size whose places or contents are changed, and their times set back, are noticed everywhere."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom import fingerprints
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.data.label_maps import read_label_map, write_label_map
from custom.run import input_cases
from custom.run.complete_hearts import signatures
from custom.run.completion_request import CompletionRequest
from custom.run.final_label_maps import map_of, publish
from custom.run.input_cases import read_input_cases
from custom.run.make_clouds import CloudRequest, run_clouds
from custom.run.make_slices import SliceRequest, run_slices
from custom.run.process_pool import ProcessPool
from custom.run.repair_labels import run_repair
from custom.surfaces.point_cloud import Cloud
from custom.surfaces.surface_sampling import Counts

from .conftest import asked

AFFINE = np.array([[-5.9, 0.6, 0, 40], [0.6, 5.9, 0, -30], [0, 0, 7.0, 500], [0, 0, 0, 1]])


def swap(one: Path, other: Path) -> None:
    """Let two files of one size change places, with the times that they found there."""
    times = [(path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in (one, other)]
    assert one.stat().st_size == other.stat().st_size
    between = one.with_name("between")
    os.replace(one, between)
    os.replace(other, one)
    os.replace(between, other)
    for path, ns in zip((one, other), times, strict=True):
        os.utime(path, ns=ns)


@pytest.fixture
def labels(hearts: Path, tmp_path: Path) -> Path:
    """Two hearts, not compressed, so that they are of one size, and of one time."""
    folder = tmp_path / "labels"
    for name in ("phantom_000", "phantom_001"):
        found = read_label_map(hearts / "labels" / f"{name}.nii.gz")
        write_label_map(folder / f"{name}.nii", found.labels, found.affine)
        os.utime(folder / f"{name}.nii", ns=(5, 5))
    return folder


def both(labels: Path) -> tuple[Path, Path]:
    return labels / "phantom_000.nii", labels / "phantom_001.nii"


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were checked."""
    names: list[str] = []
    plain = input_cases.check_files

    def noted(paths: list[str], label_table: Any) -> Any:
        names.extend(Path(path).name for path in paths)
        return plain(paths, label_table)

    monkeypatch.setattr(input_cases, "check_files", noted)
    return names


def test_swapped_label_maps_are_checked_again_and_repaired_as_what_they_are(labels: Path, tmp_path: Path) -> None:
    run_repair(asked(labels, tmp_path / "out"))
    swap(*both(labels))
    run_repair(asked(labels, tmp_path / "out"))
    run_repair(asked(labels, tmp_path / "anew"))
    for stage in ("fused", "repaired"):
        for case in ("phantom_000", "phantom_001"):
            found, wanted = (map_of(tmp_path / output, stage, case).read_bytes() for output in ("out", "anew"))
            assert found == wanted
    assert (tmp_path / "out" / "metrics.csv").read_bytes() == (tmp_path / "anew" / "metrics.csv").read_bytes()


def test_an_edited_map_whose_time_is_set_back_is_checked_again_and_a_copy_is_not(
    labels: Path, tmp_path: Path, checked: list[str]
) -> None:
    first = read_input_cases(labels, tmp_path / "out", PUBLIC_CARDIAC_CT, ProcessPool(1))
    one, other = both(labels)
    checked.clear()
    shutil.copy2(one, tmp_path / "copy")
    os.replace(tmp_path / "copy", one)
    os.utime(other, (1, 1))
    assert read_input_cases(labels, tmp_path / "out", PUBLIC_CARDIAC_CT, ProcessPool(1)) == first
    assert checked == []
    stat, content = one.stat(), bytearray(one.read_bytes())
    content[-1] = 3
    one.write_bytes(content)
    os.utime(one, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = read_input_cases(labels, tmp_path / "out", PUBLIC_CARDIAC_CT, ProcessPool(1))
    assert checked == [one.name]
    assert second.cases[0].structures != first.cases[0].structures and second.cases[1] == first.cases[1]


def test_a_file_whose_numbers_are_known_is_not_even_read(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(2 * fingerprints.TICK_NS / 1e9)  # a state that is taken too soon is not trusted
    first = read_input_cases(labels, tmp_path / "out", PUBLIC_CARDIAC_CT, ProcessPool(1))
    fingerprints._READ.clear()
    read, digest = list[Path](), fingerprints.content_digest
    monkeypatch.setattr(fingerprints, "content_digest", lambda path: read.append(Path(path)) or digest(path))
    assert read_input_cases(labels, tmp_path / "out", PUBLIC_CARDIAC_CT, ProcessPool(1)) == first
    assert not [path for path in read if path.parent == labels]


def test_clouds_of_swapped_label_maps_are_made_again(labels: Path, tmp_path: Path) -> None:
    few = Counts(surface=600, volume=300, near=600)

    def clouds() -> list[bytes]:
        run_clouds(CloudRequest(labels, tmp_path / "out", counts=few, workers=1))
        found = [Cloud.read(tmp_path / "out" / f"{path.stem}.npz") for path in both(labels)]
        return [cloud.volume_sdf_mm.tobytes() for cloud in found]

    before = clouds()
    swap(*both(labels))
    after = clouds()
    assert before[0] != after[0] and before[1] != after[1]


def test_completed_maps_of_swapped_label_maps_are_out_of_date(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"weights")
    request = CompletionRequest(labels=labels, output=tmp_path / "out", checkpoint=tmp_path / "best.pt")

    def signs() -> dict[str, str]:
        return signatures(request, read_input_cases(labels, tmp_path / "out", PUBLIC_CARDIAC_CT, ProcessPool(1)).cases)

    first = signs()
    for path in both(labels):
        path.touch()
    assert signs() == first
    swap(*both(labels))
    second = signs()
    assert len(second) == 2 and all(second[name] != first[name] for name in first)


def scan(folder: Path, name: str, side: int) -> None:
    labels = np.zeros((13, 11, 9), np.uint8)
    labels[3 : 3 + side, 3:8, 2:7] = 5
    for part, values in (("image", np.where(labels, 400, -90).astype(np.int16)), ("label", labels)):
        path = folder / name / f"{name}-{part}.nii"
        write_label_map(path, values, AFFINE, dtype=values.dtype)
        os.utime(path, ns=(5, 5))


def test_slices_of_swapped_scans_are_made_again_and_those_of_touched_ones_are_not(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name, side in (("a", 4), ("b", 6)):
        scan(data, name, side)

    def made() -> dict[str, int]:
        run_slices(SliceRequest(data, tmp_path / "out", size=16, spacing_mm=6.0, least_pixels=2, workers=1))
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("?/*-sdf.npz")}

    before = made()
    for path in data.rglob("*.nii"):
        path.touch()
    assert made() == before
    for part in ("image", "label"):
        swap(data / "a" / f"a-{part}.nii", data / "b" / f"b-{part}.nii")
    after = made()
    assert before["a-sdf.npz"] != after["a-sdf.npz"] and before["b-sdf.npz"] != after["b-sdf.npz"]


def test_what_is_published_is_known_by_its_content_and_not_by_size_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    source = map_of(tmp_path, "fused", "a")
    source.parent.mkdir()
    source.write_text("one")
    publish(tmp_path, ["a"], "fused")
    place = map_of(tmp_path, "repaired", "a")
    stat = place.stat()
    source.write_text("two")
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    publish(tmp_path, ["a"], "fused")
    assert place.read_text() == "two"
