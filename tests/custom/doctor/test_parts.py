"""The parts of the doctor on the smallest configs that show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import DataLoader

from custom.doctor.bundle_metadata import check_changelog, check_versions
from custom.doctor.component_arguments import accepted, argument_faults
from custom.doctor.config_file import Document, walk
from custom.doctor.expressions import check_expressions
from custom.doctor.finding import Finding
from custom.doctor.merge_configs import merge
from custom.doctor.references import check_references, resolve
from tests.folder_entries import entries


def expression_findings(*texts: str) -> list[Finding]:
    return check_expressions([(str(place), text) for place, text in enumerate(texts)])[2]


def reference_findings(config: dict[str, Any], *folders: Path) -> list[Finding]:
    return check_references(resolve(config, folders))[1]


@pytest.mark.parametrize(
    "text",
    [
        "$[a for a, b in zip(@images, @labels) if b]",
        "$lambda x: x.anything + 1",
        "$(y := 3) and y",
        "$np.float32(1) + numpy.pi",
        "$@network.no_such_attribute",
        "$f'{torch.cuda.device_count()}'",
        "$__import__('os').sep",
        "$torch.distributed.is_available()",
    ],
)
def test_an_expression_that_can_run_is_sound(text: str) -> None:
    assert expression_findings(text) == []


@pytest.mark.parametrize(
    ("text", "cause", "remedy"),
    [
        ("$os.sep", "the name os is not imported", 'Add "$import os" to the imports of the config.'),
        ("$torchh.pi", "the name torchh is not imported", "Did you mean torch?"),
        ("$torch.devise('cpu')", "torch has no devise", "Did you mean torch.device?"),
        ("$monai.data.DataLoadr(3)", "monai.data has no DataLoadr", "Did you mean monai.data.DataLoader?"),
        ("$(1 + 2", "$(1 + 2 is no Python ('(' was never closed, near character 1)", "Correct the expression."),
        ("$x = 3", "$x = 3 is no Python (invalid syntax", "Correct the expression."),
    ],
)
def test_an_expression_that_cannot_run_is_found_without_running_it(text: str, cause: str, remedy: str) -> None:
    ((where, said, todo),) = expression_findings(text)
    assert (where, todo) == ("0", remedy)
    assert said.startswith(cause)


def test_an_expression_is_never_evaluated(tmp_path: Path) -> None:
    text = f"$__import__('pathlib').Path('{tmp_path}/made').touch()"
    assert expression_findings(text) == []
    assert list(entries(tmp_path.iterdir())) == []


def test_an_import_anywhere_in_the_config_serves_every_expression() -> None:
    assert (
        expression_findings("$path.join('a')", "$from os import path", "$import numpy.linalg as la", "$la.norm") == []
    )


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("$import os, glob", "MONAI keeps only the first name of an import"),
        ("$import os.path", "MONAI binds os.path to a name with a dot, which no expression can use"),
        ("$import nump", "the module nump cannot be imported (No module named 'nump')"),
        ("$from os import paths", "os has no paths"),
    ],
)
def test_an_import_that_does_not_do_what_it_says_is_found(text: str, cause: str) -> None:
    assert [finding.cause for finding in expression_findings(text)] == [cause]


def test_relative_references_are_followed_as_monai_does() -> None:
    config = {"a": 1, "b": {"c": "@##a", "d": "@#c", "e": ["@#1", 3], "f": "%#d"}}
    assert reference_findings(config) == []
    assert resolve(config, ()).config["b"] == {"c": "@a", "d": "@b::c", "e": ["@b::e::1", 3], "f": "@b::c"}
    assert reference_findings({"a": 1, "b": {"c": "@##aa"}}) == [
        Finding("b::c", "@aa is in no config of the list", "Did you mean @a?")
    ]
    ((where, cause, _),) = reference_findings({"b": {"c": "@####aa"}})
    assert (where, cause) == ("b::c", "@####aa goes up further than the config is deep")


def test_a_macro_of_a_macro_further_down_is_found() -> None:
    """MONAI replaces in the order of the config, and leaves this one as text."""
    assert [finding.where for finding in reference_findings({"a": "%b", "b": "%c", "c": 1})] == ["a"]
    assert reference_findings({"b": "%c", "c": 1, "a": "%b"}) == []


def test_a_circle_is_found_once_with_all_its_parts() -> None:
    findings = reference_findings({"a": "@b", "b": ["@c"], "c": {"d": "@a"}, "e": "@a"})
    assert [finding.cause for finding in findings] == ["it needs itself: a -> b -> c"]
    assert reference_findings({"a": {"b": "@a::c", "c": 1}, "d": "@a"}) == []


def test_an_address_of_mail_and_a_share_are_plain_text() -> None:
    assert reference_findings({"contact": "heart@contact.org", "share": "50 %"}) == []


def test_macros_are_replaced_by_a_content_of_their_own() -> None:
    resolved = resolve({"a": [{"b": "@c"}], "c": 1, "d": "%a"}, ())
    assert resolved.config["d"] == [{"b": "@c"}]
    assert resolved.config["d"] is not resolved.config["a"]
    assert resolved.ids >= {"d::0::b", "a::0::b", ""}
    assert check_references(resolved) == (2, [])


def test_each_part_is_known_by_the_file_that_set_it_last() -> None:
    first = Document("one", {"a": {"b": [1], "c": {"d": 2}}, "e": 3})
    second = Document("two", {"a::c": {"d": 4}, "+a::b": [5], "e": 6, "+a": {"f": 7}})
    merged, faults = merge([first, second], {"version": "1"})
    assert faults == []
    assert merged.config == {"a": {"b": [1, 5], "c": {"d": 4}, "f": 7}, "e": 6, "_meta_": {"version": "1"}}
    origins = {where: merged.origin(where) for where, _ in walk(merged.config) if not where.startswith("_meta_")}
    assert {where for where, name in origins.items() if name == "two"} == {"a::c", "a::c::d", "a::b::1", "a::f", "e"}
    assert first.content == {"a": {"b": [1], "c": {"d": 2}}, "e": 3}


def test_a_key_that_leads_nowhere_and_a_merge_of_two_kinds_are_found() -> None:
    documents = [Document("one", {"a": {"b": [1]}}), Document("two", {"a::bb::0": 2, "+a::b": {"c": 1}})]
    assert [(fault.config, fault.where, fault.remedy) for fault in merge(documents, {})[1]] == [
        ("two", "a::bb::0", "Did you mean a::b?"),
        ("two", "a::b", "Leave the + out to replace it."),
    ]


def test_arguments_are_bound_as_a_call_would_bind_them() -> None:
    def made(one: int, *, two: int = 2) -> None: ...

    def place(one: int, /, **more: int) -> None: ...

    assert list(argument_faults(made, {"one": 1}, partial=False)) == []
    assert list(argument_faults(made, {"two": 1}, partial=True)) == []
    assert list(argument_faults(made, {"twoo": 1}, partial=True)) == [
        ("twoo", "made takes no argument twoo", "Did you mean two?")
    ]
    assert list(argument_faults(made, {}, partial=False)) == [("", "made lacks its argument one", "Give it.")]
    ((argument, cause, _),) = argument_faults(place, {"one": 1, "three": 3}, partial=False)
    assert (argument, cause) == ("", "place lacks its argument one, and that one cannot be given by name")
    assert list(argument_faults(torch.device, {"anything": 1}, partial=False)) == []


def test_arguments_that_a_class_hands_up_are_those_of_the_class_above() -> None:
    class Base:
        def __init__(self, one: int = 1) -> None: ...

    class Up(Base):
        def __init__(self, two: int = 2, **more: int) -> None:
            super().__init__(**more)

    class Aside(Base):
        def __init__(self, two: int = 2, **more: int) -> None:
            super().__init__()
            self.kept = dict(**more)

    assert accepted(Up) == ["two", "one"]
    assert accepted(Aside) is None
    names = accepted(DataLoader)
    assert names is not None and {"dataset", "batch_size", "sampler"} <= set(names)
    assert [name for name, *_ in argument_faults(DataLoader, {"dataset": 1, "batchsize": 2}, False)] == ["batchsize"]


@pytest.mark.parametrize(
    ("metadata", "where"),
    [
        ({"version": "0.1.0", "changelog": {"0.1.0": "", "0.0.9": ""}}, []),
        ({"version": "0.9.0", "changelog": {"0.10.0": "", "0.9.0": ""}}, ["version"]),
        ({"version": "0.1.0"}, ["changelog"]),
        ({"version": "new", "changelog": {"0.1.0": "", "old": ""}}, ["version", "changelog::old"]),
    ],
)
def test_the_version_is_the_latest_of_the_changelog(metadata: dict[str, Any], where: list[str]) -> None:
    assert [finding.where for finding in check_changelog(metadata)] == where


def test_a_required_package_that_is_not_installed_is_found() -> None:
    metadata = {"required_packages_version": {"nobody_has_this": "1.0", "scikit-image": "0.1", "skimage": "0.1"}}
    assert check_versions(metadata) == [
        Finding(
            "required_packages_version::nobody_has_this",
            "the bundle needs nobody_has_this 1.0, and it is not installed",
            "Install nobody_has_this==1.0, or correct the metadata.",
        )
    ]


def test_an_older_package_passes_only_if_the_project_allows_both() -> None:
    assert [finding.where for finding in check_versions({"numpy_version": "2.99.0"}, project="nobody")] == [
        "numpy_version"
    ]
    assert check_versions({"numpy_version": "2.99.0"}, project="corfield") == []
    assert [finding.where for finding in check_versions({"monai_version": "1.99.0"}, project="corfield")] == [
        "monai_version"
    ]
