"""A header may promise no more than the file and the memory can hold; axes of length 1 behind the three are none."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigParser
from monai.transforms import LoadImage

from custom.data.label_maps import check_header, read_grid, read_label_map, read_values
from custom.errors import InputError
from tests.custom.data.test_label_maps import DIM, SHAPE, fault, patched, saved, some_labels

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("shape", [(*SHAPE, 1), (*SHAPE, 1, 1), (5, 7, 1, 1)])
def test_more_axes_of_length_one_behind_the_three_are_ignored(tmp_path, shape):
    values = some_labels()[:, :, : shape[2]].reshape(shape)
    path = saved(tmp_path / "a.nii.gz", values)
    assert np.array_equal(read_label_map(path).labels, values.reshape(shape[:3]))
    assert np.array_equal(read_values(path)[0], values.reshape(shape[:3]))
    assert read_grid(path).shape == shape[:3]
    loaded = LoadImage(reader="NibabelReader", squeeze_non_spatial_dims=True, ensure_channel_first=True)(path)
    assert np.array_equal(np.asarray(loaded)[0], values.reshape(shape[:3]))


@pytest.mark.parametrize("bundle", ["near_stage1", "unified_implicit"])
def test_the_loaders_of_the_bundles_ignore_them_too(tmp_path, bundle):
    config = json.loads((ROOT / "bundles" / bundle / "configs" / "train.json").read_text())
    loaders = [one for one in config["train"]["preprocessing"]["transforms"] if "LoadImaged" in str(one)]
    (loader,) = loaders
    path = saved(tmp_path / "a.nii", some_labels().reshape(*SHAPE, 1, 1))
    loaded = ConfigParser({"loader": loader, "label_table": "public_cardiac_ct"}).get_parsed_content("loader")(
        {"label": str(path)}
    )["label"]
    assert np.array_equal(np.asarray(loaded), some_labels()[None])


@pytest.mark.parametrize(("name", "extra"), [("a.nii", ""), ("a.nii.gz", ", compressed")])
def test_a_header_that_promises_more_than_the_file_can_hold_is_refused_unread(tmp_path, monkeypatch, name, extra):
    content = patched(tmp_path / "a.nii", DIM, "<4h", 3, 30000, 30000, 30000).read_bytes()
    path = tmp_path / name
    path.write_bytes(content if name.endswith(".nii") else gzip.compress(content))
    monkeypatch.setattr(nib.arrayproxy.ArrayProxy, "__array__", None)
    size = path.stat().st_size
    message = fault(path)
    assert f"promises (30000, 30000, 30000) voxels, 27000000000352 bytes, in a file of {size} bytes{extra};" in message
    with pytest.raises(InputError, match="30000"):
        check_header(path)


def test_a_gzip_with_fewer_voxels_than_promised_is_refused_before_they_are_given_memory(tmp_path, monkeypatch):
    content = patched(tmp_path / "a.nii", DIM, "<4h", 3, 30, 30, 30).read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content))
    check_header(tmp_path / "a.nii.gz")
    monkeypatch.setattr(nib.arrayproxy.ArrayProxy, "__array__", None)
    wanted = (
        f"promises (30, 30, 30) voxels, 27352 bytes, in {len(content)} bytes when it is unpacked; wanted a complete"
    )
    assert wanted in fault(tmp_path / "a.nii.gz")


LIMITED = """
import resource, sys
from custom.data.label_maps import read_label_map
from custom.errors import InputError
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
try:
    read_label_map(sys.argv[1])
except InputError as error:
    print(error)
"""


def test_a_volume_that_does_not_fit_into_memory_is_named_with_its_size(tmp_path):
    path = tmp_path / "a.nii"
    saved(path, some_labels())
    content = bytearray(path.read_bytes())
    struct.pack_into("<4h", content, DIM, 3, 2000, 2000, 1000)
    path.write_bytes(content)
    os.truncate(path, 352 + 4_000_000_000)  # zeros that take no room on the disk
    ran = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, cwd=ROOT)
    assert ran.stdout.startswith(f"{path}: found (2000, 2000, 1000) voxels, 4.0 GB, for which memory is short; wanted")
    assert "Take fewer --workers" in ran.stdout


def test_memory_that_runs_short_while_voxels_are_judged_is_the_files_fault(tmp_path, monkeypatch):
    def short(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 27 TiB")

    path = saved(tmp_path / "a.nii", some_labels())
    monkeypatch.setattr(np, "bincount", short)
    assert "found (5, 7, 11) voxels, 0.0 MB, for which memory is short" in fault(path)
