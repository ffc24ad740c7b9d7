"""model.json: read back as it was written, and refused once anything in it is different."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from custom import __version__
from custom.anatomy import PUBLIC_CARDIAC_CT
from custom.errors import InputError
from custom.package import load
from custom.package.manifest import FILES, MANIFEST, read_manifest, written
from tests.custom.package.package_helpers import CASES, FRAMES, NETWORK, THRESHOLDS, edited, resealed


def test_what_was_written_is_read_back(packed: Path) -> None:
    manifest = read_manifest(packed / MANIFEST)
    assert (manifest.version, manifest.cases, manifest.network) == (__version__, CASES, NETWORK)
    assert set(manifest.made_with) == {"torch", "monai", "safetensors"}
    assert manifest.label_table == PUBLIC_CARDIAC_CT
    assert manifest.thresholds == pytest.approx(THRESHOLDS)
    assert (manifest.fallback, manifest.stride, manifest.amp) == ("background", 4, True)
    assert sorted(manifest.files) == sorted(FILES)
    for name, frame in zip(CASES, manifest.frames, strict=True):
        assert np.array_equal(frame.affine, FRAMES[name].affine)
        assert (frame.shape, frame.low_ijk, frame.high_ijk) == (
            FRAMES[name].shape,
            FRAMES[name].low_ijk,
            FRAMES[name].high_ijk,
        )
    assert written(manifest) == (packed / MANIFEST).read_bytes()


def test_a_case_takes_one_line(packed: Path) -> None:
    lines = (packed / MANIFEST).read_text().splitlines()
    assert [line for line in lines if line.startswith('{"name": "beyond"')] != []
    assert len(lines) <= 16 + len(CASES) + len(PUBLIC_CARDIAC_CT)


@pytest.mark.parametrize("place", [0.001, 0.2, 0.5, 0.8, 0.97])
def test_a_changed_byte_is_refused(place: float, model: Path) -> None:
    content = bytearray((model / MANIFEST).read_bytes())
    at = next(at for at in range(int(place * len(content)), len(content)) if chr(content[at]).isalnum())
    content[at] = ord("7") if content[at] != ord("7") else ord("8")
    (model / MANIFEST).write_bytes(content)
    with pytest.raises(InputError, match="model.json: found "):
        load(model)


@pytest.mark.parametrize(("old", "new"), [('"PV": 0.66', '"PV": 0.5'), ('"stride": 4', '"stride": 8'), ("\n", "\n ")])
def test_an_edited_value_is_refused_and_both_hashes_are_named(old: str, new: str, model: Path) -> None:
    text = (model / MANIFEST).read_text()
    assert old in text
    (model / MANIFEST).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match="edited or damaged") as raised:
        load(model)
    stated = json.loads(text)["checksum"]
    found = str(raised.value).split("contents with the SHA-256 ")[1][:64]
    assert stated in str(raised.value) and len(found) == 64 and found != stated


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("corfield.heart/2", "written by CorField 9.8.7; wanted 'corfield.heart/1', which this version reads. Install"),
        ("corfield.heart/0", "Install CorField 9.8.7, or pack the run again with this version."),
        ("somebody.else/1", "found the format 'somebody.else/1'; wanted 'corfield.heart/1'. Give a folder that"),
        (None, "found the format None"),
        ([1], "found the format [1]"),
    ],
)
def test_another_format_is_refused_before_all_else(form: Any, said: str, model: Path) -> None:
    (model / MANIFEST).write_text(json.dumps({"format": form, "corfield": "9.8.7", "news": 1}))
    with pytest.raises(InputError) as raised:
        load(model)
    assert said in str(raised.value)


def test_another_version_that_wrote_the_same_format_is_read(model: Path) -> None:
    resealed(model, version="9.8.7", made_with={"torch": "9.0"})
    opened = load(model)
    assert (opened.manifest.version, opened.manifest.made_with) == ("9.8.7", {"torch": "9.0"})
    assert opened.render("007").labels.any()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no JSON"),
        (b'{"format": ', "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100000, "no JSON"),
        (b"[]", "a JSON list"),
        (b'"corfield.heart/1"', "a JSON str"),
    ],
)
def test_what_is_no_json_object_is_refused(content: bytes, said: str, model: Path) -> None:
    (model / MANIFEST).write_bytes(content)
    with pytest.raises(InputError, match=f"model.json: found {said}"):
        load(model)


def test_a_missing_file_is_named(model: Path) -> None:
    (model / MANIFEST).unlink()
    with pytest.raises(InputError, match="model.json: found no such file; wanted the model.json of a package"):
        load(model)


def test_a_file_without_a_checksum_is_refused(model: Path) -> None:
    content = json.loads((model / MANIFEST).read_text())
    del content["checksum"]
    (model / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(InputError, match="of no checksum"):
        load(model)


def case(**changes: Any) -> dict[str, Any]:
    frame = {"affine": np.eye(4).tolist(), "shape": [5, 7, 11], "low_ijk": [0, 0, 0], "high_ijk": [4, 6, 10]}
    return {"name": "a", "frame": frame | changes}


def structure(**changes: Any) -> dict[str, Any]:
    return {"index": 1, "name": "All", "rank": 0, "components": 1} | changes


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"network": None}, "no 'network'"),
        ({"cases": []}, "cases of the same name, or none"),
        ({"cases": [case(), case()]}, "cases of the same name"),
        ({"cases": [case() | {"name": "../../a"}]}, "the name '../../a'"),
        ({"cases": [case() | {"name": "a\\b"}]}, "the name"),
        ({"cases": [case() | {"name": ".a"}]}, "the name '.a'"),
        ({"cases": [case() | {"name": 7}]}, "the name 7"),
        ({"cases": [{"name": "a"}]}, "no 'frame'"),
        ({"cases": 7}, "contents that do not fit"),
        ({"cases": [case(affine=[[1, 0], [0, 1]])]}, "no affine"),
        ({"cases": [case(affine=np.diag([1.0, 0, 1, 1]).tolist())]}, "an affine of no volume"),
        ({"cases": [case(affine=np.diag([1.0, 1, 1, 2]).tolist())]}, "an affine of no volume"),
        ({"cases": [case(affine="many")]}, "contents that do not fit"),
        ({"cases": [case(shape=[5, 7])]}, "a box of"),
        ({"cases": [case(low_ijk=[0.5, 0, 0])]}, "a box of"),
        ({"cases": [case(shape=[5, 0, 7])]}, "a grid of"),
        ({"files": {}}, "(the files)"),
        ({"files": {"field.safetensors": {}}}, "no 'bytes'"),
        ({"decision": {"thresholds": {}, "fallback": "any"}}, "the fallback 'any'"),
        ({"decision": {"thresholds": {"Liver": 0.5}, "fallback": "best"}}, "Liver"),
        ({"decision": {"thresholds": {"PV": "half"}, "fallback": "best"}}, "half"),
        ({"decision": {"thresholds": {"PV": 1.5}, "fallback": "best"}}, "threshold of PV: found 1.5"),
        ({"drawing": {"stride": 3, "amp": True}}, "the stride 3"),
        ({"drawing": {"stride": True, "amp": True}}, "the stride True"),
        ({"structures": [], "decision": {"thresholds": {}, "fallback": "best"}}, "structures of one name"),
        ({"structures": [structure(index="one")]}, "index 'one' of a structure"),
        ({"structures": [structure(index=256)], "decision": {"thresholds": {}, "fallback": "best"}}, "the indices"),
        ({"structures": [structure(name="a/b")], "decision": {"thresholds": {}, "fallback": "best"}}, "the name 'a/b'"),
        ({"structures": [{"index": 1}]}, "no 'name'"),
    ],
)
def test_contents_that_make_no_package_are_refused_though_they_are_sealed(
    keys: dict[str, Any], said: str, model: Path
) -> None:
    edited(model, **keys)
    with pytest.raises(InputError) as raised:
        load(model)
    assert said in str(raised.value)


def test_a_structure_of_an_older_table_has_the_usual_value_of_a_field_it_does_not_name(model: Path) -> None:
    structures = json.loads((model / MANIFEST).read_text())["structures"]
    for one in structures:
        del one["barrier"]
    edited(model, structures=structures)
    table = read_manifest(model / MANIFEST).label_table
    assert not any(one.barrier for one in table)
    assert table.names == PUBLIC_CARDIAC_CT.names
