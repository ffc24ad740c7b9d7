"""Expressions of a config, read as syntax and never evaluated: what they import, and the names they use."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from monai.bundle.config_item import ConfigExpression
from monai.bundle.config_parser import _default_globals
from monai.bundle.reference_resolver import ReferenceResolver

from .finding import Finding, did_you_mean
from .lookup import NotFound, member_of, module_of

STANDIN = "_referred_to_"
"""Stands where a reference stood, for the parser of Python."""

IMPORT = 'Add "$import {}" to the imports of the config.'


def check_expressions(texts: Iterable[tuple[str, Any]]) -> tuple[int, dict[str, Any], list[Finding]]:
    """Syntax, imports and names of all expressions of a config.

    Args:
        texts: everything in the config, with its id.

    Returns:
        How many expressions there are, what the imported names stand for, and what is wrong.
    """
    expressions = [(where, text[1:]) for where, text in texts if ConfigExpression.is_expression(text)]
    names: dict[str, Any] = {name: module_of(module) for name, module in _default_globals.items()}
    findings, trees = [], {}
    for where, text in expressions:
        try:
            statement = _statement(text)
        except SyntaxError as error:
            cause = f"${text} is no Python ({error.msg}, near character {error.offset})"
            findings.append(Finding(where, cause, "Correct the expression."))
            continue
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            findings += [Finding(where, cause, remedy) for cause, remedy in _import(statement, names)]
        elif isinstance(statement, ast.Expr):
            trees[where] = statement.value
        else:
            findings.append(Finding(where, f"${text} is a statement", "Write an expression: it must have a value."))
    for where, tree in trees.items():
        findings += [Finding(where, cause, remedy) for cause, remedy in _names(tree, names)]
    return len(expressions), names, findings


def static_value(text: str, names: Mapping[str, Any]) -> Any:
    """What a plain dotted name such as ``$monai.data.DataLoader`` stands for; None if the expression is more than that.

    Raises:
        NotFound: an attribute on the way is not there.
    """
    tree = syntax(text)
    return _chain(tree, names)[1] if isinstance(tree, (ast.Attribute, ast.Name)) else None


def syntax(text: str) -> ast.expr | None:
    """An expression without its ``$`` as a tree, references replaced; None if it is none."""
    try:
        statement = _statement(text)
    except SyntaxError:
        return None
    return statement.value if isinstance(statement, ast.Expr) else None


def referred_to(node: ast.AST) -> str | None:
    """The id that a name in a tree stands for."""
    if isinstance(node, ast.Name) and node.id.startswith(STANDIN):
        return bytes.fromhex(node.id.removeprefix(STANDIN)).decode()
    return None


def _statement(text: str) -> ast.stmt:
    """The first statement, as MONAI takes it: an import, or else the whole must be an expression."""
    replaced = re.sub(
        ReferenceResolver.id_matcher,
        lambda match: STANDIN + match.group()[1:].encode().hex(),
        ReferenceResolver.normalize_id(text),
    )
    body = ast.parse(replaced).body
    if body and isinstance(body[0], (ast.Import, ast.ImportFrom)):
        return body[0]
    return ast.Expr(ast.parse(replaced.lstrip(), mode="eval").body)


def _import(statement: ast.Import | ast.ImportFrom, names: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Bind the name that an import binds in MONAI: the first one only, a dotted one as it stands."""
    first = statement.names[0]
    bound = first.asname or first.name
    names[bound] = None
    if len(statement.names) > 1:
        yield "MONAI keeps only the first name of an import", "Write one import for each."
    if "." in bound:
        yield f"MONAI binds {bound} to a name with a dot, which no expression can use", "Add: as NAME."
    try:
        if isinstance(statement, ast.Import):
            names[bound] = module_of(first.name)
        else:
            module = module_of(statement.module or "")
            names[bound] = member_of(module, first.name, str(statement.module))
    except NotFound as missing:
        yield missing.cause, missing.remedy


def _names(tree: ast.expr, imported: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names that are bound nowhere, and attributes that imported modules do not have."""
    nodes = list(ast.walk(tree))
    own = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id not in own and referred_to(node) is None:
            if node.id not in imported and not hasattr(builtins, node.id):
                known = [name for name in {*imported, *own} if "." not in name]
                yield f"the name {node.id} is not imported", did_you_mean(node.id, known, IMPORT.format(node.id))
        elif isinstance(node, ast.Attribute) and id(node) not in inner:
            try:
                _chain(node, {name: value for name, value in imported.items() if name not in own})
            except NotFound as missing:
                yield missing.cause, missing.remedy


def _chain(node: ast.AST, imported: Mapping[str, Any]) -> tuple[str, Any]:
    """The path and the value of a dotted name, as far as it leads over modules and classes; None further on."""
    if isinstance(node, ast.Name):
        return node.id, imported.get(node.id)
    if not isinstance(node, ast.Attribute):
        return "", None
    path, value = _chain(node.value, imported)
    if not (inspect.ismodule(value) or inspect.isclass(value)):
        return f"{path}.{node.attr}", None
    return f"{path}.{node.attr}", member_of(value, node.attr, path)
