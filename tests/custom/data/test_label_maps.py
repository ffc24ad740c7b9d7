"""Every way a file can be no label map has its own error; what is written is read back the same."""

from __future__ import annotations

import errno
import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImaged

from custom.anatomy import PUBLIC_CARDIAC_CT, TOTALSEGMENTATOR_HEART
from custom.data.label_map_reader import LabelMapReader
from custom.data.label_maps import CheckLabelMapd, check_header, read_label_map, write_label_map
from custom.errors import InputError
from tests.folder_entries import entries

SHAPE = (5, 7, 11)

# 30 degrees about k, voxels of 0.5 x 1.5 x 3 mm, flipped along i, far from the origin
COS, SIN = np.cos(np.pi / 6), np.sin(np.pi / 6)
OBLIQUE = np.array(
    [[-0.5 * COS, -1.5 * SIN, 0, 91.0], [-0.5 * SIN, 1.5 * COS, 0, -17.0], [0, 0, 3, 400.5], [0, 0, 0, 1]]
)

# Byte offsets of the NIfTI-1 header.
DIM, SCL_SLOPE, SROW_X = 40, 112, 280


def some_labels() -> np.ndarray:
    """Every index of the table, each at a different voxel."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels.flat[3:300:27] = range(11)
    return labels


def saved(path: Path, values: np.ndarray, affine: np.ndarray = OBLIQUE) -> Path:
    """A file written by nibabel alone."""
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def patched(path: Path, offset: int, layout: str, *values: float) -> Path:
    """An uncompressed file with some header bytes replaced."""
    saved(path, some_labels())
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, offset, *values)
    path.write_bytes(content)
    return path


def fault(path: Path) -> str:
    """What reading says of a file; the file is always named."""
    with pytest.raises(InputError) as caught:
        read_label_map(path)
    assert str(caught.value).startswith(f"{path}: found ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.NII.GZ"])
def test_what_is_written_is_read_back(tmp_path, name):
    write_label_map(tmp_path / name, some_labels(), OBLIQUE)
    read = read_label_map(tmp_path / name)
    assert np.array_equal(read.labels, some_labels()) and read.labels.dtype == np.uint8
    np.testing.assert_allclose(read.affine, OBLIQUE, rtol=1e-6, atol=1e-6)
    assert read.spacing_mm == pytest.approx((0.5, 1.5, 3.0), rel=1e-6)
    assert read.path == tmp_path / name


def test_sform_and_qform_say_the_same(tmp_path):
    write_label_map(tmp_path / "a.nii.gz", some_labels(), OBLIQUE)
    header = nib.load(tmp_path / "a.nii.gz").header
    assert header["sform_code"] == header["qform_code"] == 1
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), rtol=1e-5, atol=1e-4)
    assert header.get_data_dtype() == np.uint8
    assert header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_whole_numbers_are_labels_in_any_type(tmp_path, dtype):
    read = read_label_map(saved(tmp_path / "a.nii.gz", some_labels().astype(dtype)))
    assert np.array_equal(read.labels, some_labels()) and read.labels.dtype == np.uint8


def test_the_scale_of_the_header_is_applied(tmp_path):
    path = saved(tmp_path / "a.nii", some_labels().astype(np.int16) * 10)
    content = bytearray(path.read_bytes())
    struct.pack_into("<2f", content, SCL_SLOPE, 0.1, 0.0)  # 0.1 has no exact single-precision value
    path.write_bytes(content)
    assert nib.load(path).dataobj.get_unscaled().max() == 100
    assert np.array_equal(read_label_map(path).labels, some_labels())


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 1)], ids=["volume", "one voxel"])
def test_background_alone_and_one_voxel_are_label_maps(tmp_path, shape):
    assert not read_label_map(saved(tmp_path / "a.nii", np.zeros(shape, dtype=np.uint8))).labels.any()


def test_a_volume_full_of_one_structure_is_a_label_map(tmp_path):
    assert (read_label_map(saved(tmp_path / "a.nii", np.full(SHAPE, 10, dtype=np.uint8))).labels == 10).all()


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    assert "found no such file" in fault(tmp_path / "a.nii.gz")
    (tmp_path / "b.nii").mkdir()
    assert "found a folder" in fault(tmp_path / "b.nii")


def test_another_suffix_is_refused(tmp_path):
    (tmp_path / "a.mha").write_bytes(b"ObjectType = Image")
    assert "found the suffix '.mha'; wanted a NIfTI file" in fault(tmp_path / "a.mha")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("content", [b"", b"no image " * 100], ids=["empty", "text"])
def test_a_file_that_is_no_nifti_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert "found a file that cannot be opened" in fault(tmp_path / name)


def test_a_gzip_cut_short_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 11, (13, 17, 97)).astype(np.uint8)
    whole = saved(tmp_path / "a.nii.gz", noise).read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(whole[: len(whole) // 2])
    check_header(tmp_path / "a.nii.gz")
    assert "found voxels that cannot be read" in fault(tmp_path / "a.nii.gz")


def test_one_damaged_byte_in_a_gzip_is_refused(tmp_path):
    # Stored without compression, so that only the checksum behind the last voxel can tell.
    plain = saved(tmp_path / "a.nii", np.zeros((13, 17, 97), dtype=np.uint8)).read_bytes()
    content = bytearray(gzip.compress(plain, compresslevel=0))
    content[-9] = 3  # the last voxel, before 8 bytes of checksum and length; also a label of the table
    (tmp_path / "a.nii.gz").write_bytes(content)
    message = fault(tmp_path / "a.nii.gz")
    assert "found voxels that cannot be read (CRC check failed" in message


def test_a_plain_file_cut_short_is_refused(tmp_path):
    whole = saved(tmp_path / "a.nii", some_labels()).read_bytes()
    (tmp_path / "a.nii").write_bytes(whole[:-1])
    assert "found voxels that cannot be read" in fault(tmp_path / "a.nii")


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 11, 3), (5, 7, 11, 1, 2)], ids=["2-D", "4-D", "5-D"])
def test_other_than_three_axes_are_refused(tmp_path, shape):
    message = fault(saved(tmp_path / "a.nii.gz", np.zeros(shape, dtype=np.uint8)))
    assert f"found {len(shape)} axes {shape}; wanted exactly 3 axes" in message


def test_an_axis_of_length_zero_is_refused(tmp_path):
    assert "found an empty axis (5, 0, 11)" in fault(patched(tmp_path / "a.nii", DIM, "<4h", 3, 5, 0, 11))


def test_values_between_the_labels_are_refused(tmp_path):
    values = some_labels().astype(np.float32)
    values[1, 2, 3] = 0.25
    message = fault(saved(tmp_path / "a.nii.gz", values))
    assert "found 1 voxels that are no whole number, such as 0.25" in message
    assert "nearest neighbour" in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinite_voxels_are_refused(tmp_path, value):
    values = some_labels().astype(np.float32)
    values[0, 0, :2] = value
    assert "found 2 voxels that are NaN or infinite" in fault(saved(tmp_path / "a.nii.gz", values))


def test_colour_is_refused(tmp_path):
    colour = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "wanted one whole number a voxel" in fault(saved(tmp_path / "a.nii.gz", colour))


@pytest.mark.parametrize(
    ("values", "shown"),
    [([11], "11;"), ([-1], "-1;"), ([300, -2, 12], "-2, 12, 300;"), (range(20, 28), "20, 21, 22, 23, 24 and 3 more;")],
    ids=["one above", "negative", "beyond a byte", "many"],
)
def test_unknown_labels_are_listed_with_the_table(tmp_path, values, shown):
    labels = some_labels().astype(np.int16)
    labels[4, 6, : len(values)] = list(values)
    message = fault(saved(tmp_path / "a.nii.gz", labels))
    assert f"found the label values {shown}" in message
    assert "table 'public_cardiac_ct': 1, 2, 3, 4, 5, 6, 7, 8, 9, 10" in message


def test_the_table_decides_what_is_known(tmp_path):
    path = saved(tmp_path / "a.nii.gz", some_labels())
    assert read_label_map(path, PUBLIC_CARDIAC_CT).labels.max() == 10
    with pytest.raises(InputError, match="label values 6, 7, 8, 9, 10; wanted .* 'totalsegmentator_heart'"):
        read_label_map(path, "totalsegmentator_heart")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_affine_that_is_not_finite_is_refused(tmp_path, value):
    message = fault(patched(tmp_path / "a.nii", SROW_X, "<f", value))
    assert "found an affine with NaN or infinite entries" in message


@pytest.mark.parametrize(
    "row", [(0.0, 0.0, 0.0), (-0.5 * SIN, 1.5 * COS, 0.0)], ids=["zero row", "row of another axis"]
)
def test_a_singular_affine_is_refused(tmp_path, row):
    assert "found a singular affine" in fault(patched(tmp_path / "a.nii", SROW_X, "<3f", *row))


def test_the_header_is_checked_without_the_voxels(tmp_path):
    check_header(saved(tmp_path / "a.nii", np.full(SHAPE, 77, dtype=np.uint8)))
    with pytest.raises(InputError, match="2 axes"):
        check_header(saved(tmp_path / "b.nii", np.zeros((5, 7), dtype=np.uint8)))


def test_equal_maps_give_equal_bytes_whatever_their_name(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_label_map(tmp_path / name, some_labels(), OBLIQUE)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert content[4:8] == bytes(4)  # no time in the gzip header
    write_label_map(tmp_path / "c.nii", np.asfortranarray(some_labels()), OBLIQUE)
    assert gzip.decompress(content) == (tmp_path / "c.nii").read_bytes()


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path):
    write_label_map(tmp_path / "x" / "y" / "a.nii.gz", some_labels(), OBLIQUE)
    assert [path.name for path in entries(Path(tmp_path / "x" / "y").iterdir())] == ["a.nii.gz"]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    write_label_map(path, some_labels(), OBLIQUE)
    before = path.read_bytes()
    write = Path.write_bytes

    def half(self: Path, content: bytes) -> int:
        write(self, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(InputError, match="No space left on device"):
        write_label_map(path, np.zeros(SHAPE, dtype=np.uint8), OBLIQUE)
    assert path.read_bytes() == before
    assert [path.name for path in entries(Path(tmp_path).iterdir())] == ["a.nii.gz"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/a\.nii\.gz: found a place that cannot be written"):
        write_label_map(tmp_path / "file" / "a.nii.gz", some_labels(), OBLIQUE)


def test_an_output_of_another_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"found the suffix '\.png'"):
        write_label_map(tmp_path / "a.png", some_labels(), OBLIQUE)


@pytest.mark.parametrize("value", [-1, 256, 0.5])
def test_labels_that_do_not_fit_the_type_are_refused(tmp_path, value):
    labels = some_labels().astype(np.float64)
    labels[0, 0, 0] = value
    with pytest.raises(ValueError, match="do not fit uint8"):
        write_label_map(tmp_path / "a.nii.gz", labels, OBLIQUE)
    assert not [path.name for path in entries(Path(tmp_path).iterdir())]


def test_the_gate_passes_a_good_case_with_its_size(tmp_path):
    path = saved(tmp_path / "a.nii.gz", some_labels())
    case = {"label": str(path), "case": "a", "index": 0}
    assert CheckLabelMapd("label")(case) == case | {"label_size": [33.0, 21.0, 4]}


def test_a_loaded_case_has_its_labels_channel_first(tmp_path):
    path = saved(tmp_path / "a.nii.gz", some_labels())
    load = LoadImaged("label", reader=LabelMapReader(), dtype=np.uint8, ensure_channel_first=True)
    case = load({"label": str(path), "case": "a", "index": 0})
    assert np.array_equal(np.asarray(case["label"]), some_labels()[None])
    assert (case["case"], case["index"]) == ("a", 0)


def test_the_gate_stops_a_bad_case(tmp_path):
    path = saved(tmp_path / "a.nii.gz", some_labels())
    with pytest.raises(InputError, match="label values 6"):
        CheckLabelMapd("label", TOTALSEGMENTATOR_HEART)({"label": str(path)})
    with pytest.raises(InputError, match="label_table"):
        CheckLabelMapd("label", "hearts")
