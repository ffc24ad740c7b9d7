"""Every shipped config is examined and sound, and a break planted in any of them is found."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from custom.doctor.check_bundle import BundleChecker, check_bundle, check_configs
from custom.doctor.config_file import Document, walk
from custom.doctor.config_lists import ConfigLists, config_lists
from custom.doctor.finding import Fault
from custom.doctor.lookup import importing_from
from custom.doctor.merge_configs import merge
from custom.doctor.references import resolve
from tests.folder_entries import entries

BUNDLES = sorted(path for path in entries((Path(__file__).resolve().parents[3] / "bundles").iterdir()) if path.is_dir())
PLANS = {root.name: config_lists(root) for root in BUNDLES}
CONFIGS = [(root, name) for root in BUNDLES for name in PLANS[root.name].documents]
Content = dict[str, Any]
Planted = tuple[Content, str, str]
"""The config after the break, the id that must be named, and what its cause or remedy must say."""

each_config = pytest.mark.parametrize(("root", "name"), CONFIGS, ids=lambda value: getattr(value, "name", value))


def content_of(root: Path, name: str) -> Content:
    content: Content = json.loads((root / "configs" / name).read_text())
    return content


def faults_with(root: Path, name: str, content: Content) -> list[Fault]:
    """What is said of a list in which as few others as can be lie over a config, with other content in that config."""
    planned: ConfigLists = PLANS[root.name]
    documents = {**planned.documents, name: Document(name, content)}
    names = min((names for names in planned.lists if name in names), key=lambda names: names[::-1].index(name))
    with importing_from(root):
        return list(
            BundleChecker(root, {}, documents, planned.bases).examine([documents[one] for one in names], names).faults
        )


def places(content: Content, wanted: Callable[[Any], bool]) -> list[tuple[str, Any, Any]]:
    """Id, holder and key of every value of a kind."""
    found = []
    for where, holder in walk(content):
        if any(part.startswith("+") for part in where.split("::")):
            continue  # merged into another list, where it has another position
        pairs = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        found += [(f"{where}::{key}" if where else str(key), holder, key) for key, value in pairs if wanted(value)]
    return found


def break_reference(content: Content, chance: random.Random) -> Planted:
    """Rename one, or put one in the place of a setting where there is none."""
    whole = places(content, lambda value: isinstance(value, str) and value.startswith("@"))
    where, holder, key = chance.choice(whole or places(content, lambda value: not isinstance(value, dict)))
    holder[key] = f"{holder[key]}_gone" if whole else "@gone"
    return content, where, f"{holder[key]} is in no config of the list"


def break_expression(content: Content, chance: random.Random) -> Planted:
    inside = places(content, lambda value: isinstance(value, str) and value.startswith("$") and "@" in value)
    where, holder, key = chance.choice(inside or places(content, lambda value: not isinstance(value, dict)))
    holder[key] = f"{holder[key]} or @gone" if inside else "$1 + @gone"
    return content, where, f"@gone is in no config of the list in the expression {holder[key]}"


def break_target(content: Content, chance: random.Random) -> Planted:
    components = places(content, lambda value: isinstance(value, dict) and "_target_" in value)
    if not components:
        key = chance.choice(list(content))
        content[key] = {"_target_": "custom.anatomy.structur_name", "structure": 1, "label_table": ""}
        return content, f"{key}::_target_", "Did you mean custom.anatomy.structure_name?"
    where, holder, key = chance.choice(components)
    target = holder[key]["_target_"]
    holder[key]["_target_"] = target + "x"
    return content, f"{where}::_target_", target.rpartition(".")[0] if "." in target else f"MONAI has no {target}x"


def break_argument(content: Content, chance: random.Random) -> Planted:
    own = places(content, lambda value: isinstance(value, dict) and value.get("_target_", "").startswith("custom."))
    if not own:
        key = chance.choice(list(content))
        content[key] = {"_target_": "custom.anatomy.structure_name", "label_tabel": ""}
        return content, f"{key}::label_tabel", "Did you mean label_table?"
    where, holder, key = chance.choice(own)
    holder[key]["no_such_argument"] = 1
    return content, f"{where}::no_such_argument", "takes no argument no_such_argument"


def break_macro(content: Content, chance: random.Random) -> Planted:
    where, holder, key = chance.choice(places(content, lambda value: isinstance(value, (int, float))) or [("", {}, "")])
    where, holder, key = (where, holder, key) if where else ("run", content, "run")
    holder[key] = "%gone::deeper"
    return content, where, "%gone::deeper is in no config of the list"


BREAKS = (break_reference, break_expression, break_target, break_argument, break_macro)


def test_the_sweep_covers_every_config_of_every_bundle() -> None:
    files = [path for root in BUNDLES for path in (root / "configs").rglob("*.json") if path.stem != "metadata"]
    assert len(files) == len(CONFIGS) >= 18
    swept = {(root.name, name) for root in BUNDLES for names in PLANS[root.name].lists for name in names}
    assert swept == {(root.name, name) for root, name in CONFIGS}


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
def test_a_shipped_bundle_has_no_fault_in_any_of_its_lists(root: Path) -> None:
    report = check_bundle(root)
    assert report.faults == ()
    assert report.files == len(PLANS[root.name].documents)
    assert [one.names for one in report.examined] == list(PLANS[root.name].lists)
    for one in report.examined:
        texts = [(root / "configs" / name).read_text() for name in one.names]
        assert one.components >= max(text.count('"_target_"') for text in texts)
        assert one.components == texts[0].count('"_target_"') or len(texts) > 1
        assert one.ids > 100 and one.references > 40 and one.expressions > 5


def test_the_lists_are_those_of_the_documents_and_each_overlay_over_each_of_its_bases() -> None:
    lists = PLANS["near_stage1"].lists
    assert {("train.json", "smoke.json"), ("inference.json", "evaluate.json"), ("train.json", "fit.json")} < set(lists)
    assert ("train.json", "multi_gpu_train.json") in lists
    overlays = [name for name in PLANS["near_stage1"].documents if name.startswith("structures/")]
    assert len(overlays) == 10
    assert {(base, name) for base in ("train.json", "inference.json") for name in overlays} < set(lists)
    assert set(PLANS["near_fusion"].lists) == {("inference.json",), ("inference.json", "evaluate.json")}


def test_without_documents_an_overlay_lies_over_the_base_it_has_most_in_common_with(tmp_path: Path) -> None:
    root = Path(shutil.copytree(BUNDLES[0].parent / "near_stage1", tmp_path / "renamed"))
    shutil.rmtree(root / "docs")
    assert set(config_lists(root).lists) == set(PLANS["near_stage1"].lists)


@pytest.mark.parametrize("root", BUNDLES, ids=lambda root: root.name)
def test_every_list_is_merged_and_its_macros_replaced_as_monai_does_it(root: Path) -> None:
    planned, metadata = PLANS[root.name], root / "configs" / "metadata.json"
    for names in planned.lists:
        parser = ConfigParser()
        parser.read_config([str(root / "configs" / name) for name in names])
        parser.read_meta(str(metadata))
        parser.parse()
        merged, faults = merge([planned.documents[name] for name in names], json.loads(metadata.read_text()))
        assert faults == []
        assert resolve(merged.config, ()).config == parser.get()


@each_config
def test_a_break_is_found_in_every_config_with_its_id_and_cause(root: Path, name: str) -> None:
    for plant in BREAKS:
        content, where, said = plant(content_of(root, name), random.Random(f"{root.name} {name} {plant.__name__}"))
        found = {fault.where: fault for fault in faults_with(root, name, content)}
        assert where in found, (plant.__name__, where, sorted(found))
        assert found[where].config == name
        assert said in f"{found[where].cause}. {found[where].remedy}", (plant.__name__, found[where])


@each_config
def test_an_unknown_setting_is_found_in_every_overlay(root: Path, name: str) -> None:
    content = content_of(root, name)
    if name in PLANS[root.name].bases:
        assert "bundle_root" in content
        return
    found = {fault.where: fault for fault in faults_with(root, name, {**content, "outptu_dir": 7})}
    assert found["outptu_dir"].remedy == "Did you mean --output_dir?"


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[Path]:
    yield Path(shutil.copytree(BUNDLES[0].parent, tmp_path / "bundles"))


def test_a_key_given_twice_and_a_brace_left_out_are_found_in_every_config(copies: Path) -> None:
    found = 0
    for root, name in CONFIGS:
        path = copies / root.name / "configs" / name
        text = path.read_text()
        first = next(iter(json.loads(text)))
        path.write_text(text.replace("{", f'{{"{first}": 0, ', 1))
        twice = check_configs([path], {}).faults
        assert (str(path), first) in {(fault.config, fault.where) for fault in twice}
        path.write_text(text.rstrip()[:-1])
        report = check_configs([path], {})
        assert [fault.config for fault in report.faults] == [str(path)]
        assert report.faults[0].where == f"line {text.rstrip()[:-1].count(chr(10)) + 1}, column 1"
        assert report.faults[0].cause.startswith("invalid JSON: ") and report.examined == ()
        path.write_text(text)
        found += 1
    assert found == len(CONFIGS)
