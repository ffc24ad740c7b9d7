"""Where a network's numbers come from, and whether they come from anywhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from torch import nn

logger = logging.getLogger(__name__)

_ATTRIBUTE = "weights_origin"


def record_origin(module: nn.Module, origin: str) -> None:
    """Note where a module's weights come from: a file, or the training that made them.

    The note is an attribute, no entry of the state dict; who saves a state saves :func:`origin` beside it.
    """
    setattr(module, _ATTRIBUTE, origin)


def origin(module: nn.Module) -> str | None:
    """What :func:`record_origin` noted, through an adapter too; nothing if the weights are as they were drawn."""
    noted = getattr(module, _ATTRIBUTE, None)
    return noted if isinstance(noted, str) else None


def is_untrained(*modules: nn.Module) -> bool:
    """Whether the weights of one of the modules are as they were drawn."""
    return any(origin(module) is None for module in modules)


def untrained_banner(modules: Mapping[str, nn.Module]) -> str | None:
    """A line for log, metrics and report that names the parts with random weights; nothing if there are none."""
    random = [name for name, module in modules.items() if is_untrained(module)]
    if not random:
        return None
    return f"UNTRAINED: random weights in {', '.join(random)}; what comes out means nothing about any heart"


def log_banner(modules: Mapping[str, nn.Module]) -> None:
    """Log the banner as a warning, if there is one."""
    banner = untrained_banner(modules)
    if banner:
        logger.warning(banner)
