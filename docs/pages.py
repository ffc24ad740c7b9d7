"""Pages of the site that no file of docs/ holds: bundles, workflow, changelog, and the API, a page for each room.

MkDocs calls the ``on_...`` functions. Rooms, modules and bundles are read from their folders, so that a renamed one
needs no change here. Links between files of the repository become links between pages, or plain names without a page.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "custom"
TAKEN_IN = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "workflow/README.md": "how-to/cluster.md",
    "README.md": "index.md",
}
"""Files outside docs/ and the pages they become; of the README the site has its own version, the index."""


def bundles() -> list[str]:
    return sorted(path.parents[1].name for path in (ROOT / "bundles").glob("*/docs/README.md"))


def pages() -> dict[str, str]:
    """Every file of the repository that is a page, by its path, and its path in the site."""
    own = {f"docs/{path.relative_to(ROOT / 'docs')}": str(path.relative_to(ROOT / "docs")) for path in documents()}
    return {**own, **TAKEN_IN, **{f"bundles/{name}/docs/README.md": f"bundles/{name}.md" for name in bundles()}}


def documents() -> list[Path]:
    return sorted(path for path in (ROOT / "docs").rglob("*") if path.is_file() and path.suffix != ".py")


def rooms() -> list[str]:
    """The rooms of the package: its folders and the modules beside them."""
    return sorted(path.stem for path in PACKAGE.iterdir() if _is_module(path) or (path / "__init__.py").is_file())


def modules(room: str) -> list[str]:
    """The dotted names of a room's modules, the room first."""
    paths = sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]
    dotted = [path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in paths]
    return sorted(name.removesuffix(".__init__") for name in dotted)


def first_line(module: str) -> str:
    """The first sentence of a module's docstring."""
    path = ROOT / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.sub(r":\w+:`~?(.+?)`", r"`\1`", " ".join(text.split("\n\n")[0].split()))


def api_page(room: str) -> str:
    """The reference of a room: every module with all that it defines."""
    named = "".join(f"\n::: {module}\n" for module in modules(room))
    return f"# {room}\n{named}"


def api_index() -> str:
    rows = "".join(f"| [{room}]({room}.md) | {first_line(f'{PACKAGE.name}.{room}')} |\n" for room in rooms())
    return (
        "# API\n\nOne page for each room, a folder or file of `custom/`. Who may import whom: "
        f"[Architecture](../architecture.md#the-rooms).\n\n| room | what is in it |\n| - | - |\n{rows}"
    )


def linked(text: str, source: str) -> str:
    """A file's text with links to files of the repository turned to links between pages.

    Args:
        text: Markdown.
        source: its path in the repository. What is linked is found from there; what is no page stays as plain text.
    """
    taken = pages()
    here = posixpath.dirname(taken[source])

    def turned(match: re.Match[str]) -> str:
        label, target, anchor = match.group(1), match.group(2), match.group(3) or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if not (ROOT / path).exists():
            raise ValueError(f"{source}: found a link to {target}, wanted a file of the repository. Correct it.")
        if path not in taken:
            return label
        return f"[{label}]({posixpath.relpath(taken[path], here or '.')}{anchor})"

    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)", turned, text)


def generated() -> dict[str, str]:
    """The pages that no file of docs/ holds, by their paths in the site."""
    outside = [source for source in pages() if not source.startswith("docs/") and source != "README.md"]
    texts = {pages()[source]: linked((ROOT / source).read_text(encoding="utf-8"), source) for source in outside}
    return {**texts, "api/index.md": api_index(), **{f"api/{room}.md": api_page(room) for room in rooms()}}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in what mkdocs.yml leaves empty: the pages of bundles and rooms."""
    lists: dict[str, list[Any]] = {
        "Settings of the bundles": [{name: f"bundles/{name}.md"} for name in bundles()],
        "API": [{"Rooms": "api/index.md"}, *({room: f"api/{room}.md"} for room in rooms())],
    }
    config.nav = [{title: lists.get(title, page) for title, page in entry.items()} for entry in config.nav or []]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    from mkdocs.structure.files import File  # here, so that the tests need no MkDocs

    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of the pages of docs/ that point out of it."""
    source = f"docs/{page.file.src_uri}"
    return linked(markdown, source) if source in pages() else markdown


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings name things as Sphinx does; what is left of that is dropped."""
    return re.sub(r":(?:class|func|meth|mod|data|attr):(?=<code>)", "", html)


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" and path.stem != "__init__"
