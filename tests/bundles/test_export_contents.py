"""What lies in an export of every bundle, in both layouts; test_exported_runs.py runs them."""

from __future__ import annotations

import ast
import json
import re
import sys
from importlib import metadata
from pathlib import Path

from monai.bundle import verify_metadata
from packaging.requirements import Requirement

from custom.export.archive_layouts import laid_out, published_dependencies
from custom.export.bundle_source import bundle_names, configs_of, read_bundle
from custom.export.checkpoint_in_archive import MODEL, takers
from custom.export.package_code import targets_of
from custom.training.run_bundle import BUNDLES
from tests.bundles.export_helpers import CODE, each_bundle, each_layout, exported
from tests.folder_entries import entries

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "tests" / "data" / "meta_schema_20240725.json"
SCHEMA_MD5 = "76e1add273836515d0bbb3bc71962474"


EXTRAS = {
    "heart_completion": ["warp-lang>=1.19.0"],
    "heart_sam3d_lora": ["accelerate>=1.15.0", "peft>=0.21.2", "transformers>=5.23.0"],
}
"""What a bundle requires beside what the package does."""


def guarded(tree: ast.AST) -> set[ast.AST]:
    """Imports that the code can do without: it catches that they fail."""
    tries = [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
    caught = [
        node
        for node in tries
        if any(re.search("ImportError|ModuleNotFoundError", ast.dump(handler)) for handler in node.handlers)
    ]
    return {inner for node in caught for line in node.body for inner in ast.walk(line)}


def third_parties(files: dict[str, bytes]) -> set[str]:
    """The packages that the code among the files cannot do without, Python's own aside."""
    trees = [ast.parse(text) for path, text in files.items() if path.endswith(".py")]
    nodes = [node for tree in trees for node in set(ast.walk(tree)) - guarded(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


def distributions(packages: set[str]) -> set[str]:
    known = metadata.packages_distributions()
    return {known[package][0].lower().replace("_", "-") for package in packages}


def test_every_bundle_and_both_layouts_are_swept() -> None:
    assert bundle_names() == sorted(path.name for path in entries(BUNDLES.iterdir()) if path.is_dir())
    assert CODE == {"vendored": "custom", "zoo": "scripts"}


@each_bundle
def test_vendored_the_configs_and_the_package_are_byte_for_byte_what_was_tested(name: str) -> None:
    files, folder = exported(name, "vendored"), BUNDLES / name
    for path, content in files.items():
        if path.startswith("configs/") or path == "LICENSE":
            assert content == (folder / path).read_bytes()
        if path.startswith("custom/"):
            assert content == (ROOT / path).read_bytes()
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "custom").rglob("*.py")}
    assert len(modules) > 90
    assert modules | {"custom/report/templates/report.html"} <= set(files)
    lines = files["requirements.txt"].decode().splitlines()
    assert lines == sorted([*published_dependencies(), *EXTRAS.get(name, [])])


@each_bundle
def test_vendored_all_that_the_package_imports_is_required(name: str) -> None:
    files = exported(name, "vendored")
    required = {Requirement(line).name for line in files["requirements.txt"].decode().splitlines()}
    extra = distributions(third_parties(files)) - required
    assert extra == (set() if name == "heart_completion" else {"warp-lang"})  # which says so where it is missing


@each_bundle
def test_zoo_no_dotted_path_begins_with_the_old_name_and_every_one_with_the_new_leads_to_a_file(name: str) -> None:
    files = exported(name, "zoo")
    texts = {path: text.decode() for path, text in files.items() if not path.endswith((".pt", "LICENSE"))}
    assert [path for path, text in texts.items() if re.search(r"(?<![\w.])custom\.[a-z_]", text)] == []
    before = list(targets_of(list(configs_of(read_bundle(BUNDLES / name).files).values())))
    after = list(targets_of(list(configs_of(files).values())))
    assert after == [re.sub(r"^custom\.", "scripts.", target) for target in before]
    own = {target.rpartition(".")[0] for target in after if target.startswith("scripts.")}
    assert len(own) > 5
    assert [module for module in own if f"{module.replace('.', '/')}.py" not in files] == []


@each_bundle
def test_zoo_the_code_is_the_packages_but_for_the_name_and_only_what_is_reached(name: str) -> None:
    files = exported(name, "zoo")
    code = {path: text.decode() for path, text in files.items() if path.startswith("scripts/")}
    assert len(code) > 40
    for path, text in code.items():
        there = (ROOT / path.replace("scripts", "custom", 1)).read_text(encoding="utf-8")
        assert text == re.sub(r"(?<![\w./-])custom\.(?=[A-Za-z_])", "scripts.", there)
    assert [path for path in code if path.split("/")[1] in {"cli", "pipeline", "report", "doctor", "export"}] == []


@each_bundle
def test_zoo_all_that_the_code_imports_is_named_in_the_metadata(name: str) -> None:
    files = exported(name, "zoo")
    told = json.loads(files["configs/metadata.json"])
    assert distributions(third_parties(files)) <= {*told["required_packages_version"], "monai", "torch", "numpy"}


@each_bundle
def test_zoo_the_metadata_follow_the_schema_they_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_bytes(exported(name, "zoo")["configs/metadata.json"])
    verify_metadata(meta_file=str(path), filepath=str(SCHEMA), hash_val=SCHEMA_MD5)


@each_bundle
def test_zoo_the_files_are_those_the_zoo_asks_for_and_nothing_else(name: str) -> None:
    files = exported(name, "zoo")
    wanted = {"LICENSE", "configs/metadata.json", "configs/inference.json", "docs/README.md", "docs/data_license.txt"}
    assert wanted <= set(files)
    allowed = {"configs", "docs", "models", "scripts", "LICENSE", "CITATION.cff"}
    assert {path.split("/")[0] for path in files} <= allowed
    for path, config in configs_of(files).items():
        assert config.get("bundle_root", ".") == ".", path
    assert (MODEL in files) == (not takers(files))


@each_bundle
@each_layout
def test_the_documents_speak_from_the_bundles_folder_and_name_configs_that_are_there(name: str, layout: str) -> None:
    files = exported(name, layout)
    texts = [text.decode() for path, text in files.items() if path.startswith("docs/")]
    stale = re.compile(rf"bundles/{name}|root of the repository|tests/data|make install")
    assert [found for text in texts for found in stale.findall(text)] == []
    readme = files["docs/README.md"].decode()
    assert "given from the bundle's folder" in readme
    named = set(re.findall(r"(?<![\w/])configs/[\w/]+\.json", readme))
    assert "configs/inference.json" in named and named <= set(files)
    assert files["CITATION.cff"] == (ROOT / "CITATION.cff").read_bytes()


@each_bundle
@each_layout
def test_an_export_of_an_export_is_the_same(name: str, layout: str, tmp_path: Path) -> None:
    files = exported(name, layout)
    for path, content in files.items():
        (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name / path).write_bytes(content)
    again = laid_out(read_bundle(tmp_path / name), "vendored")[1]
    own = {path for path in files if path.split("/")[0] in {"configs", "docs", "models"}}
    assert len(own) > 5
    assert {path: again[path] for path in own} == {path: files[path] for path in own}
