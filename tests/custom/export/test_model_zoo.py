"""What the model zoo asks for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from custom.errors import InputError
from custom.export.bundle_source import Source, bundle_names, read_bundle
from custom.export.model_zoo import INFERENCE_KEYS, KEYS, check_zoo, missing_files
from custom.training.run_bundle import BUNDLES

METADATA, INFERENCE = "configs/metadata.json", "configs/inference.json"


@pytest.fixture
def source() -> Source:
    return read_bundle(BUNDLES / "near_stage1")


def with_json(source: Source, path: str, **changes: Any) -> Source:
    """A bundle with some keys of a JSON file at other values; ``None`` takes a key away."""
    content = {**json.loads(source.files[path]), **changes}
    kept = {key: value for key, value in content.items() if value is not None}
    return replace(source, files=source.files | {path: json.dumps(kept).encode()})


@pytest.mark.parametrize("name", bundle_names())
def test_the_projects_bundles_lack_nothing(name: str) -> None:
    assert missing_files(read_bundle(BUNDLES / name)) == []


@pytest.mark.parametrize("key", KEYS)
def test_each_key_of_the_metadata_is_asked_for(source: Source, key: str) -> None:
    assert f"{key} in {METADATA}" in missing_files(with_json(source, METADATA, **{key: None}))


def test_the_version_stands_in_the_changelog(source: Source) -> None:
    assert missing_files(with_json(source, METADATA, version="9.9.9")) == [
        f"version 9.9.9 in the changelog of {METADATA}"
    ]


def test_the_network_has_inputs_and_outputs(source: Source) -> None:
    changed = with_json(source, METADATA, network_data_format={"inputs": {}})
    assert missing_files(changed) == [f"outputs of network_data_format in {METADATA}"]


def test_the_terms_of_data_are_asked_for_where_data_are_concerned(source: Source) -> None:
    files = {path: content for path, content in source.files.items() if path != "docs/data_license.txt"}
    without = replace(source, files=files)
    assert missing_files(without) == ["docs/data_license.txt (the metadata name a data source)"]
    assert missing_files(with_json(without, METADATA, data_source=None)) == []


@pytest.mark.parametrize("key", INFERENCE_KEYS)
def test_inference_has_the_keys_that_other_programs_look_for(source: Source, key: str) -> None:
    assert missing_files(with_json(source, INFERENCE, **{key: None})) == [f"{key} in {INFERENCE}"]


def test_a_section_of_the_readme_counts_at_any_level_and_in_bold(source: Source) -> None:
    text = source.files["docs/README.md"]
    bold = text.replace(b"## Description", b"### **Description**")
    gone = text.replace(b"## Limitations", b"## Boundaries")
    assert missing_files(replace(source, files=source.files | {"docs/README.md": bold})) == []
    missing = missing_files(replace(source, files=source.files | {"docs/README.md": gone}))
    assert missing == ["section Limitations in docs/README.md"]


def test_all_that_is_missing_is_named_in_one_refusal(source: Source) -> None:
    files = {path: content for path, content in source.files.items() if path != INFERENCE}
    with pytest.raises(InputError) as raised:
        check_zoo(with_json(replace(source, files=files), METADATA, name=None))
    assert f"without name in {METADATA}, {INFERENCE}; wanted what the MONAI model zoo asks for" in str(raised.value)
