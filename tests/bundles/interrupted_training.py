"""A training that is broken off from the inside, as a kill would, and known not to have failed for another cause."""

from __future__ import annotations

from typing import Any

import pytest
from ignite.engine import Engine
from monai.bundle import ConfigWorkflow


class Cut(Exception):
    """Ends a run."""


def cut(engine: Engine) -> None:
    raise Cut


def break_off(begun: ConfigWorkflow, event: Any) -> None:
    """Run a training until an event of its trainer, and no further."""
    begun.initialize()
    begun.parser.get_parsed_content("preflight")  # the seed comes first
    begun.parser.get_parsed_content("train::trainer").add_event_handler(event, cut)
    with pytest.raises(Exception) as raised:
        begun.run()
    cause: BaseException | None = raised.value
    while cause is not None and not isinstance(cause, Cut):
        cause = cause.__cause__ or cause.__context__
    assert isinstance(cause, Cut)
