"""The commands of the README and of the guides work as they are written, on small data; all others are checked."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom.anatomy import table
from custom.data.label_maps import write_label_map
from custom.phantoms.write_cohort import make_cohort, make_scans

ROOT = Path(__file__).resolve().parents[1]
SHORT = ("--max_epochs", "2", "--val_points", "256")
STAGE_1 = ("--resolution", "24", "--points_per_case", "256")

COMPLETION = ("--cloud_points", "3000", "--cpu_threads", "1")
SLICES = ("--max_epochs", "2", "--val_interval", "2", "--least_pixels", "2")

SHORTER = {
    "repair": ("--structures", "LA", "--preset", "quick", "--allow_lost=true"),
    "phantoms": ("--size", "32", "--cases", "1"),
    "complete": ("--draws", "1", "--workers", "1"),
}
"""What makes a command of CorField quick: in the place of the same flags of the page, because none may stand twice."""


CUT = {"unified_implicit": SHORT, "heart_completion": (*SHORT, *COMPLETION), "heart_sam3d_lora": SLICES}
"""What makes a training quick, by its bundle; any other is a stage 1."""

GUIDES = [f"docs/how-to/{name}.md" for name in ("repair", "bundles", "complete", "one-slice", "own-labels")]
RUN = ["README.md", "docs/index.md", *GUIDES, "CONTRIBUTING.md"]
"""The pages whose commands are run, in the order of a reader."""

CHECKED = ["docs/benchmarks.md"]
"""The pages whose commands would take hours: their scripts and options are compared with the source."""


def commands(page: str) -> list[str]:
    """Every line of a page's shell blocks that is not a comment."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


def commands_to_run() -> list[str]:
    """Every command of the pages that are run, once; not those of make and of the shell itself."""
    found = dict.fromkeys(line for page in RUN for line in commands(page))
    return [line for line in found if not line.startswith(("make ", ". "))]


def made_small(command: str, place: Path) -> list[str]:
    """The command's words on the small cohort, training and phantoms cut short."""
    places = {"PARTIAL": "small/partial", "SCANS": "small/scans", "LABELS": "small/labels", "TRUTH": "small/truth"}
    for name, folder in {**places, "NAME": "phantom_000"}.items():
        command = command.replace(name, folder)
    words = shlex.split(command)
    words = [sys.executable if word == "python" else word for word in words]
    if "training" in words:
        words += next((short for bundle, short in CUT.items() if bundle in command), [*SHORT, *STAGE_1])
        words += [] if "--dataset_dir" in words else ["--dataset_dir", "small/labels"]
    if words[0] == "corfield":
        words = [sys.executable, "-c", "from custom.cli.main import main; main()", *words[1:]]
        words = with_flags(words, SHORTER.get(words[3], ()))
    return words


def with_flags(words: list[str], flags: tuple[str, ...]) -> list[str]:
    """A command's words with other flags, of those that it has already the values alone."""
    for name, value in zip(flags[::2], flags[1::2], strict=False):
        if name in words:
            words[words.index(name) + 1] = value
        else:
            words += [name, value]
    return [*words, *flags[len(flags) // 2 * 2 :]]


def markdown() -> list[Path]:
    """Every page of the README, of docs/ and beside them."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_commands_of_every_page_are_run_or_checked() -> None:
    with_commands = {
        str(path.relative_to(ROOT)) for path in markdown() if "```sh\n" in path.read_text(encoding="utf-8")
    }
    assert with_commands == {*RUN, *CHECKED}


def test_every_shell_block_says_that_it_is_one() -> None:
    blocks = {path: re.findall(r"^```(\w+)$", path.read_text(encoding="utf-8"), flags=re.M) for path in markdown()}
    assert {str(path): kinds for path, kinds in blocks.items() if set(kinds) - {"sh"}} == {}


def test_the_readme_names_two_make_targets() -> None:
    assert [line for line in commands("README.md") if line.startswith("make ")] == ["make demo", "make test"]


def test_the_make_targets_of_every_page_exist() -> None:
    named = [line.split()[1:] for page in RUN for line in commands(page) if line.startswith("make ")]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert len(named) >= 7
    assert {target for words in named for target in words} <= set(targets)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_every_page_links_to_files_that_exist() -> None:
    links = [
        (path, link)
        for path in markdown()
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    ]
    assert len([path for path, _ in links if path.name == "README.md"]) >= 7
    assert len(links) >= 50
    assert [(str(path), link) for path, link in links if not (path.parent / link).exists()] == []


def parameters(script: Path) -> set[str]:
    """The names that a script's ``main`` takes; of one that takes any, also the settings of the bundles."""
    functions = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.FunctionDef)]
    taken = next(function.args for function in functions if function.name == "main")
    configs = (ROOT / "bundles").glob("*/configs/*.json") if taken.kwarg else ()
    settings = {key for path in configs for key in json.loads(path.read_text(encoding="utf-8"))}
    return settings | {each.arg for each in (*taken.args, *taken.kwonlyargs)}


@pytest.mark.parametrize("page", CHECKED)
def test_the_commands_of_benchmarks_name_scripts_and_options_that_exist(page: str) -> None:
    wrong = []
    for command in commands(page):
        words = shlex.split(command)
        script = ROOT / f"{words[2].replace('.', '/')}.py"
        if words[:2] != ["python", "-m"] or words[2].split(".")[0] != "benchmarks" or not script.is_file():
            wrong.append(command)
            continue
        options = {word[2:] for word in words if word.startswith("--")}
        wrong += [command] if options - parameters(script) else []
    assert len(commands(page)) >= 15
    assert wrong == []


def give_a_part(whole: Path, folder: Path) -> None:
    """The four chambers of a label map."""
    image = nib.load(whole)
    labels, chambers = np.asarray(image.dataobj), [table()[name].index for name in ("LA", "LV", "RA", "RV")]
    write_label_map(folder / whole.name, np.where(np.isin(labels, chambers), labels, 0).astype(np.uint8), image.affine)


@pytest.mark.slow
def test_the_commands_of_the_pages_run_in_their_order(tmp_path: Path) -> None:
    make_cohort(tmp_path / "small", cases=2, size=40)
    make_scans(tmp_path / "small" / "scans", cases=5, size=32)
    give_a_part(tmp_path / "small" / "truth" / "phantom_000.nii.gz", tmp_path / "small" / "partial")
    (tmp_path / "bundles").symlink_to(ROOT / "bundles")
    (tmp_path / "custom").symlink_to(ROOT / "custom")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ran = 0
    for command in commands_to_run():
        words = made_small(command, tmp_path)
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stderr[-2000:]}"
        ran += 1
    assert ran == 22
    names = ["phantom_000.nii.gz", "phantom_001.nii.gz"]
    assert (tmp_path / "phantom_000_half_mm.nii.gz").is_file() and (tmp_path / "heart_model" / "model.json").is_file()
    folders = (
        "OUT/repaired",
        "OUT/unified",
        "OUT_FOUR_VEINS/repaired",
        "STAGE1/masks/LA",
        "FUSED/repaired",
        "HEARTS/maps",
    )
    for folder in folders:
        assert sorted(path.name for path in (tmp_path / folder).glob("*.nii.gz")) == names, folder
    reports = ("OUT/report/index.html", "COMPLETED/report/index.html", "DRAWN/evaluation/report/index.html")
    for file in ("OUT/ledger.csv", "OUT/metrics.csv", "FUSED/ledger.csv", "DRAWN/evaluation/metrics.json", *reports):
        assert (tmp_path / file).is_file(), file
    assert (tmp_path / "phantoms" / "labels" / "phantom_000.nii.gz").is_file()
    shutil.rmtree(tmp_path)
