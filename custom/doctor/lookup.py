"""Looking up what a config names by a dotted path, with the bundle's own code in reach. Nothing is called."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import packages_distributions
from pathlib import Path
from pydoc import ErrorDuringImport, locate
from types import ModuleType
from typing import Any

from .finding import did_you_mean

INSTALL = "Correct the name, or install the package that has it."


class NotFound(Exception):
    """What a path names is not there.

    Attributes:
        cause: why.
        remedy: what to do about it, the nearest name that is there if there is one.
    """

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.cause, self.remedy = cause, remedy


@contextmanager
def importing_from(root: Path) -> Iterator[None]:
    """Import as a run of the bundle would: its own folder first, the working directory too.

    A package that the bundle brings along replaces one of the same name for the time, and is forgotten afterwards.
    """
    path_before, folder = list(sys.path), root.resolve()
    own = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/*.py")}
    foreign = {name for name in own if name in sys.modules and not _lies_in(sys.modules[name], folder)}
    aside = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in foreign}
    before = set(sys.modules)
    sys.path[:] = [str(folder), *path_before, str(Path.cwd())]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path_before
        for name in set(sys.modules) - before:
            if _lies_in(sys.modules[name], folder):
                del sys.modules[name]
        sys.modules.update(aside)


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    return file is not None and folder in Path(file).resolve().parents


def module_of(name: str) -> Any:
    """Import a module.

    Raises:
        NotFound: it is not there, or fails while it is imported.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except Exception as error:  # whatever the code of a foreign bundle raises
        raise NotFound(f"the module {name} cannot be imported ({error})", nearest_path(name)) from error


def member_of(value: Any, name: str, path: str) -> Any:
    """An attribute of a module or class.

    Raises:
        NotFound: it has no such attribute, and no such module inside it.
    """
    if hasattr(value, name):
        return getattr(value, name)
    if isinstance(value, ModuleType) and name in _members(value):
        return module_of(f"{value.__name__}.{name}")
    raise NotFound(f"{path} has no {name}", did_you_mean(name, _members(value), INSTALL, f"{path}.{{}}"))


def target_at(path: str) -> Any:
    """What a dotted path names.

    Raises:
        NotFound: nothing is there, or a module on the way fails while it is imported.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = locate(path)
    except ErrorDuringImport as error:
        cause = f"{path} is there, and importing it fails ({type(error.value).__name__}: {error.value})"
        raise NotFound(cause, "Install what it needs, or mend that module.") from error
    if found is None:
        raise NotFound(f"{path} cannot be imported", nearest_path(path))
    return found


def nearest_path(path: str) -> str:
    """The nearest path that can be imported, as a question."""
    parts = path.split(".")
    for depth in range(len(parts) - 1, 0, -1):
        above = ".".join(parts[:depth])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = locate(above)
        except ErrorDuringImport:
            continue
        if found is not None:
            near = get_close_matches(parts[depth], _members(found), n=1)
            if near and _is_there(candidate := ".".join([above, near[0], *parts[depth + 1 :]])):
                return f"Did you mean {candidate}?"
            elsewhere = _loaded(parts[0], parts[-1])
            return f"Did you mean {elsewhere}?" if elsewhere else INSTALL
    near = get_close_matches(parts[0], _top_level(), n=1)
    if near and _is_there(candidate := ".".join([near[0], *parts[1:]])):
        return f"Did you mean {candidate}?"
    return INSTALL


def _is_there(path: str) -> bool:
    try:
        return locate(path) is not None
    except ErrorDuringImport:
        return False


def _members(value: Any) -> list[str]:
    """Public names of a module or class, and of the modules inside it."""
    inside = [module.name for module in pkgutil.iter_modules(getattr(value, "__path__", None) or [])]
    return [name for name in {*dir(value), *inside} if not name.startswith("_")]


def _loaded(package: str, name: str) -> str:
    """Where a class or function of this name is defined in the loaded modules of a package; empty if nowhere."""
    inside = [key for key in sys.modules if key == package or key.startswith(f"{package}.")]
    found = [key for key in sorted(inside) if getattr(vars(sys.modules[key]).get(name), "__module__", None) == key]
    return f"{found[0]}.{name}" if found else ""


def _top_level() -> list[str]:
    return [*sys.stdlib_module_names, *packages_distributions(), *sys.modules]


def public_names(package: str) -> set[str]:
    """Classes and functions that the loaded modules of a package define, by their plain names."""
    modules = [module for key, module in list(sys.modules.items()) if key.split(".")[0] == package]
    return {
        name
        for module in modules
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not name.startswith("_")
    }
