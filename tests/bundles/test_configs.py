"""A sweep over every config of every bundle: also what no other config refers to is resolved and checked."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate
from typing import Any

import pytest
from monai.bundle import ConfigParser
from monai.bundle.config_item import ComponentLocator, ConfigComponent
from monai.bundle.reference_resolver import ReferenceResolver

from custom.anatomy import structure_name
from custom.training.preflight import MONAI_KEYS
from tests.folder_entries import entries

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
ALL = sorted(BUNDLES.glob("*/configs/**/*.json"))
CONFIGS = [path for path in ALL if path.name != "metadata.json"]
BASES = ("train", "inference")
LOCATOR = ComponentLocator()


def bases_of(path: Path) -> list[Path]:
    """The configs an overlay is laid over: a structure over both, evaluation and calibration over inference, others
    over training.
    """
    configs = next(parent for parent in path.parents if parent.name == "configs")
    if path.stem in BASES:
        return [path]
    if path.parent.name == "structures":
        return [configs / f"{base}.json" for base in BASES]
    return [configs / ("inference.json" if path.stem in ("evaluate", "calibrate") else "train.json")]


def name_of(path: Path) -> str:
    return str(path.relative_to(BUNDLES))


def merged(base: Path, overlay: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(path) for path in dict.fromkeys((base, overlay))])
    parser.parse()
    return parser


def walk(value: Any) -> Iterator[Any]:
    """Everything in a config, at any depth."""
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)


def strings(value: Any) -> Iterator[str]:
    return (inner for inner in walk(value) if isinstance(inner, str))


def components(value: Any) -> Iterator[dict[str, Any]]:
    return (inner for inner in walk(value) if isinstance(inner, dict) and "_target_" in inner)


def callable_of(component: dict[str, Any]) -> Any:
    return locate(ConfigComponent(component, locator=LOCATOR).resolve_module_name())


each_config = pytest.mark.parametrize("path", CONFIGS, ids=name_of)


@each_config
def test_no_config_defines_a_function(path: Path) -> None:
    """A lambda in a string has no name, no test and no type: it belongs in ``custom``."""
    content = json.loads(path.read_text(encoding="utf-8"))
    assert [text for text in strings(content) if "lambda" in text] == []


def test_the_sweep_covers_every_file_of_every_config_folder() -> None:
    files = [
        path
        for bundle in entries(BUNDLES.iterdir())
        for path in entries((bundle / "configs").rglob("*"))
        if path.is_file()
    ]
    assert {path.suffix for path in files} == {".json", ".conf"}
    assert sorted(path for path in files if path.suffix == ".json") == ALL
    names = {path.stem for path in CONFIGS}
    assert {"train", "smoke", "fit", "multi_gpu_train", "inference", "evaluate", "calibrate"} <= names
    assert len(ALL) == len(CONFIGS) + len(list(entries(BUNDLES.iterdir())))


def test_no_bundle_holds_code() -> None:
    files = [path for path in entries(BUNDLES.rglob("*")) if path.is_file()]
    assert len(files) > len(ALL)
    assert [name_of(path) for path in files if path.suffix in {".py", ".pyc", ".ipynb", ".sh", ".so"}] == []


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_no_key_is_given_twice(path: Path) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        assert [key for key in keys if keys.count(key) > 1] == []
        return dict(pairs)

    assert json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)


@each_config
def test_every_target_is_found_and_takes_its_keywords(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = list(components(json.loads(text)))
    assert len(found) == text.count('"_target_"')
    for component in found:
        target = callable_of(component)
        assert callable(target), component["_target_"]
        arguments = {key: value for key, value in component.items() if key not in ConfigComponent.non_arg_keys}
        signature = inspect.signature(target)
        bind = signature.bind_partial if component.get("_mode_") == "callable" else signature.bind
        try:
            bind(**arguments)
        except TypeError as error:
            pytest.fail(f"{component['_target_']}: {error}")


def test_the_sweep_finds_the_components_it_should() -> None:
    targets = [part["_target_"] for path in CONFIGS for part in components(json.loads(path.read_text()))]
    assert len(targets) > 60
    assert {target.split(".")[0] for target in targets if "." in target} == {"custom", "monai", "torch"}


@each_config
def test_every_reference_leads_somewhere(path: Path) -> None:
    for base in bases_of(path):
        items = merged(base, path).ref_resolver.items
        assert len(items) > 100
        wanted = {
            reference
            for key, item in items.items()
            for reference in ReferenceResolver.find_refs_in_config(item.get_config(), key)
        }
        assert len(wanted) > 30
        assert sorted(wanted - set(items)) == []


@each_config
def test_a_reference_is_the_whole_value_or_stands_in_an_expression(path: Path) -> None:
    """Elsewhere MONAI takes it for plain text, and says nothing."""
    texts = [text for text in strings(json.loads(path.read_text())) if re.search(r"[@%]\w", text)]
    assert [text for text in texts if not text.startswith("$") and not re.fullmatch(r"[@%]\w+(::\w+)*", text)] == []


@each_config
def test_no_path_is_absolute_and_none_leads_to_a_home(path: Path) -> None:
    texts = list(strings(json.loads(path.read_text())))
    assert [text for text in texts if re.search(r"(^|['\"\s(])(/|~|[A-Za-z]:[\\/])\w", text)] == []


@each_config
def test_an_overlay_adds_no_setting_that_nothing_reads(path: Path) -> None:
    overlay = json.loads(path.read_text())
    declared = {key for base in bases_of(path) for key in json.loads(base.read_text())}
    read = {name for text in strings(overlay) for name in re.findall(r"[@%](\w+)", text)}
    assert {key.lstrip("+").split("::")[0] for key in overlay} - declared - read - MONAI_KEYS == set()


@each_config
def test_custom_is_never_imported_by_an_expression(path: Path) -> None:
    """An expression's import runs before the bundle's folder is on the path; a dotted target does not."""
    assert [text for text in strings(json.loads(path.read_text())) if re.search(r"\$.*\bcustom\b", text)] == []


def test_the_overlay_of_a_structure_is_called_by_its_name_and_trains_it() -> None:
    overlays = {path.stem: json.loads(path.read_text()) for path in CONFIGS if path.parent.name == "structures"}
    assert overlays
    assert {stem: structure_name(overlay["structure"]).lower() for stem, overlay in overlays.items()} == {
        stem: stem for stem in overlays
    }
