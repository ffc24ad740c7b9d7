"""Arguments bound to a signature, as a call would bind them. Nothing is called."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from inspect import Parameter
from typing import Any

from .finding import did_you_mean

NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def argument_faults(target: Any, arguments: Mapping[str, Any], partial: bool) -> Iterator[tuple[str, str, str]]:
    """Arguments that a callable does not take, and those it lacks.

    What is written in C may have no signature; it is not checked then.

    Args:
        target: the class or function.
        arguments: given, by name.
        partial: the rest is given later, so none is missing.

    Yields:
        The argument ('' for a missing one), the cause and the remedy.
    """
    try:
        parameters = inspect.signature(target).parameters.values()
    except (ValueError, TypeError):
        return
    called, known = getattr(target, "__name__", str(target)), accepted(target)
    for name in arguments:
        if known is not None and name not in known and name != "_debug_":
            spare = [other for other in known if other not in arguments]
            yield name, f"{called} takes no argument {name}", did_you_mean(name, spare, _choice(spare))
    if partial:
        return
    for parameter in parameters:
        if parameter.kind in VARIADIC or parameter.default is not parameter.empty:
            continue
        if parameter.kind not in NAMED:
            cause = f"{called} lacks its argument {parameter.name}, and that one cannot be given by name"
            yield "", cause, "Wrap it in an expression."
        elif parameter.name not in arguments:
            yield "", f"{called} lacks its argument {parameter.name}", "Give it."


def accepted(target: Any) -> list[str] | None:
    """The names that a callable takes; None if it takes any.

    A class that hands all its further arguments to the class above it takes what that one takes.
    """
    try:
        parameters = inspect.signature(target).parameters.values()
    except (ValueError, TypeError):
        return None
    names = [parameter.name for parameter in parameters if parameter.kind in NAMED]
    further = [parameter.name for parameter in parameters if parameter.kind is Parameter.VAR_KEYWORD]
    if not further:
        return names
    above = target.__mro__[1] if inspect.isclass(target) and _hands_up(target, further[0]) else None
    inherited = accepted(above) if above not in (None, object) else None
    return None if inherited is None else list(dict.fromkeys([*names, *inherited]))


def _hands_up(target: type, further: str) -> bool:
    """Whether ``__init__`` gives its further arguments to ``super().__init__`` and to nothing else."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(vars(target)["__init__"]))))
    except (KeyError, OSError, TypeError, SyntaxError):
        return False
    calls = [
        ast.unparse(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for given in node.keywords
        if given.arg is None and isinstance(given.value, ast.Name) and given.value.id == further
    ]
    return calls == ["super().__init__"]


def _choice(names: list[str]) -> str:
    return f"Leave it out; it takes {', '.join(names)}." if names else "Leave it out."
