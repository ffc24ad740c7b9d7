"""Components of a config: what ``_target_`` names is there, and takes the arguments it is given. None is built."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from monai.bundle.config_item import ComponentLocator, ConfigComponent, ConfigExpression
from monai.utils import CompInitMode

from .component_arguments import argument_faults
from .expressions import static_value
from .finding import Finding, did_you_mean
from .lookup import INSTALL, NotFound, nearest_path, public_names, target_at

SEP = "::"
LOCATOR = ComponentLocator()
MODES = tuple(mode.value for mode in CompInitMode)


class Targets:
    """Looks up targets, each of them once, for as long as the bundle's folder is on the path."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def check(self, texts: Iterable[tuple[str, Any]], names: Mapping[str, Any]) -> tuple[int, list[Finding]]:
        """Targets that are not there or cannot be called, and arguments that they do not take or lack.

        A component that is switched off for good is not looked up, as in MONAI.

        Args:
            texts: everything in the config, with its id.
            names: what the imported names of expressions stand for.

        Returns:
            How many components there are, and what is wrong with them.
        """
        components = [(where, value) for where, value in texts if ConfigComponent.is_instantiable(value)]
        findings = [
            Finding(f"{where}{SEP}{key}" if where and key else where or key, cause, remedy)
            for where, component in components
            if not ConfigComponent(component, locator=LOCATOR).is_disabled() or _is_computed(component["_disabled_"])
            for key, cause, remedy in self._component(component, names)
        ]
        return len(components), findings

    def _component(self, component: dict[str, Any], names: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        mode = component.get("_mode_", CompInitMode.DEFAULT.value)
        if mode not in MODES and not _is_computed(mode):
            yield "_mode_", f"{mode!r} is no mode", did_you_mean(str(mode), MODES, f"Choose from {', '.join(MODES)}.")
        try:
            target = self._target(component, names)
        except NotFound as missing:
            yield "_target_", missing.cause, missing.remedy
            return
        if target is None:
            return
        if not callable(target):
            cause = f"{component['_target_']} is a {type(target).__name__}, nothing that can be called"
            yield "_target_", cause, "Name a class or function inside it."
            return
        arguments = {key: value for key, value in component.items() if key not in ConfigComponent.non_arg_keys}
        yield from argument_faults(target, arguments, partial=mode == CompInitMode.CALLABLE.value)

    def _target(self, component: dict[str, Any], names: Mapping[str, Any]) -> Any:
        """What is to be called; None if only a run can tell."""
        text = component["_target_"]
        if not isinstance(text, str) or not text:
            raise NotFound(f"{text!r} names nothing", "Give the name of a class or function.")
        if ConfigExpression.is_expression(text):
            return static_value(text[1:], names)
        if _is_computed(text):
            return None
        if text not in self._known:
            try:
                self._known[text] = _look_up(text)
            except NotFound as missing:
                self._known[text] = missing
        if isinstance(self._known[text], NotFound):
            raise self._known[text]
        return self._known[text]


def _is_computed(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("$", "@", "%"))


def _look_up(text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = str(ConfigComponent({"_target_": text}, locator=LOCATOR).resolve_module_name())
    try:
        return target_at(path)
    except NotFound as missing:
        if "." in text:
            raise
        remedy = did_you_mean(text, public_names("monai"), nearest_path(text))
        raise NotFound(f"MONAI has no {text}", remedy if remedy != INSTALL else "Give its full path.") from missing
