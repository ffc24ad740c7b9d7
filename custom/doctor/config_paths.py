"""Files that a config reads and that are not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai.bundle.config_item import ConfigExpression

from .config_file import value_at
from .expressions import referred_to, syntax
from .finding import Finding

READ = {"dataset_dir", "reference_dir", "datalist", "data_list_file_path", "checkpoint", "ckpt", "ckpt_path"}
READ |= {"load_path", "pretrained_path"}
"""Settings and arguments that are paths to read from, by name."""


def check_paths(texts: Iterable[tuple[str, Any]], config: Mapping[str, Any], root: Path) -> list[Finding]:
    """Paths to read from that lead nowhere.

    A path is judged if it is given as such, or if it is put together from such and lies in the bundle's own folder.
    One that the config checks itself, by ``os.path.exists``, may be absent; so may an empty one.

    Args:
        texts: everything in the config, with its id.
        config: macros replaced.
        root: the bundle's folder.
    """
    asked = {
        name
        for _, text in texts
        if isinstance(text, str) and ConfigExpression.is_expression(text)
        for name in re.findall(r"(?:exists|is_file|isfile|is_dir|isdir)\(\s*@(\w+)", text)
    }
    findings = []
    for where, text in texts:
        if where.split("::")[-1] not in READ or not isinstance(text, str) or not text or where in asked:
            continue
        computed = text.startswith(("$", "@", "%"))
        path = _folded(text, config, root) if ConfigExpression.is_expression(text) else None if computed else text
        inside = path is not None and root.resolve() in Path(path).resolve().parents
        if path and not Path(path).exists() and (inside or not computed):
            remedy = f"Put it there, or give another --{where}." if "::" not in where else "Put it there."
            findings.append(Finding(where, f"there is no {path}", remedy))
    return findings


def _folded(text: str, config: Mapping[str, Any], root: Path) -> str | None:
    """The path that an expression puts together from texts alone; None if it takes more than that."""
    tree = syntax(text.removeprefix("$"))
    return None if tree is None else _text(tree, config, root, depth=0)


def _text(node: ast.AST, config: Mapping[str, Any], root: Path, depth: int) -> str | None:
    name = referred_to(node)
    if name is not None:
        return _setting(name, config, root, depth)
    parts: list[ast.expr] = []
    between = ""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Div)):
        parts, between = [node.left, node.right], "/" if isinstance(node.op, ast.Div) else ""
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"os.path.join", "str", "Path", "pathlib.Path"}:
        parts, between = node.args, "/"
    texts = [_text(part, config, root, depth) for part in parts]
    return between.join(filter(None, texts)) if texts and None not in texts else None


def _setting(name: str, config: Mapping[str, Any], root: Path, depth: int) -> str | None:
    value = value_at(config, name)
    if name == "bundle_root":
        return str(root)
    if depth > 8 or not isinstance(value, str):
        return None
    tree = syntax(value.removeprefix("$")) if value.startswith(("$", "@")) else ast.Constant(value)
    return None if tree is None else _text(tree, config, root, depth + 1)
