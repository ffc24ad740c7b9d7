"""The package as files, and the part of it that is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom.export.package_code import DOTTED, imported_files, module_file, package_files, reached_files, targets_of

FILES = {
    "__init__.py": b"",
    "errors.py": b"class InputError(ValueError): ...",
    "low/__init__.py": b"from ..errors import InputError",
    "low/shape.py": b"import math\n\ndef area(): ...",
    "low/unused.py": b"",
    "mid/__init__.py": b"",
    "mid/use.py": b"from ..low.shape import area\n\ndef late():\n    from . import late_one",
    "mid/late_one.py": b"from .. import __version__",
    "mid/page.html": b"<p>",
    "top/__init__.py": b"",
    "top/cli.py": b"from ..mid import use",
    "top/style.css": b"p {}",
}


@pytest.mark.parametrize(
    ("dotted", "file"),
    [
        ("low.shape", "low/shape.py"),
        ("low.shape.area", "low/shape.py"),
        ("low.shape.Area.of", "low/shape.py"),
        ("low", "low/__init__.py"),
        ("__version__", "__init__.py"),
        ("", "__init__.py"),
    ],
)
def test_a_dotted_path_leads_to_the_file_it_lies_in(dotted: str, file: str) -> None:
    assert module_file(dotted, FILES) == file


def test_outside_of_the_package_it_leads_nowhere() -> None:
    assert module_file("low.shape", {"other.py": b""}) == ""


def test_imports_inside_functions_and_of_whole_modules_count_and_those_of_others_do_not() -> None:
    assert imported_files("mid/use.py", FILES) == {"low/shape.py", "mid/late_one.py"}
    assert imported_files("top/cli.py", FILES) == {"mid/use.py"}
    assert imported_files("low/shape.py", FILES) == set()
    assert imported_files("low/__init__.py", FILES) == {"errors.py"}


def test_what_a_target_reaches_is_its_module_its_imports_their_folders_and_data_beside_them() -> None:
    assert list(reached_files(["custom.mid.use.late", "Compose", "torch.optim.Adam"], FILES)) == [
        "__init__.py",
        "errors.py",
        "low/__init__.py",
        "low/shape.py",
        "mid/__init__.py",
        "mid/late_one.py",
        "mid/page.html",
        "mid/use.py",
    ]


def test_without_targets_of_the_package_nothing_is_reached() -> None:
    assert reached_files(["Compose", "monai.losses.DiceLoss", "customary.thing"], FILES) == {}
    assert reached_files([], FILES) == {}


def test_targets_are_found_at_any_depth() -> None:
    config = {
        "a": {"_target_": "X", "b": [{"_target_": "Y", "c": {"_target_": "Z"}}, "_target_"]},
        "d": {"_target_": 3},
    }
    assert list(targets_of(config)) == ["X", "Y", "Z"]


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ('"custom.models.near.near_field.NearField"', '"scripts.models.near.near_field.NearField"'),
        ("fields of `custom.anatomy.Structure`", "fields of `scripts.anatomy.Structure`"),
        (":func:`~custom.x.y`", ":func:`~scripts.x.y`"),
        ("as is the custom. Then", "as is the custom. Then"),
        ("tests/custom.py my_custom.x a.custom.b", "tests/custom.py my_custom.x a.custom.b"),
    ],
)
def test_only_the_beginning_of_a_dotted_path_is_the_packages_name(text: str, renamed: str) -> None:
    assert DOTTED.sub("scripts.", text) == renamed


def test_the_package_is_read_with_its_data_and_byte_for_byte() -> None:
    files = package_files()
    root = Path(__file__).resolve().parents[3] / "custom"
    assert {
        "__init__.py",
        "report/templates/report.html",
        "report/page.css",
        "report/page.js",
        "models/near/near_field.py",
    } <= set(files)
    assert len(files) > 90
    assert all(content == (root / name).read_bytes() for name, content in files.items())
    assert [name for name in files if "__pycache__" in name] == []
