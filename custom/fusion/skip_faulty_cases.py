"""How a run of MONAI's evaluator spares the cases that are done or at fault, and what it writes of the others."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.transforms import Compose, Transform

from ..errors import InputError, unforeseen
from ..files import is_full_disk
from ..headers import header_in
from ..training.preflight import root_cause
from .case_states import CaseStates

LOGGER = logging.getLogger(__name__)


class SkipFaultyCases(Transform):
    """Transforms for the cases that are still to do; the others pass by unchanged.

    An error in one of the transforms is the case's fault, memory that runs short too: it is left out, and the run goes
    on. The trace of one that is no ``InputError`` goes to the log.

    Args:
        transforms: of items that hold their ``case``.
        repairs: of the run.

    Raises:
        Exception: of a full disk, which is no case's fault.
    """

    def __init__(self, transforms: Sequence[Any], repairs: CaseStates) -> None:
        self.compose, self.repairs = Compose(transforms), repairs

    def __call__(self, data: Mapping[Hashable, Any]) -> Any:
        case = str(data["case"])
        if self.repairs.passes(case):
            return data
        try:
            return self.compose(data)
        except Exception as error:
            record_fault(case, error, self.repairs)
            return data


def record_fault(case: str, error: Exception, repairs: CaseStates) -> None:
    """Let an error be the case's fault; a full disk is none, and is raised again."""
    if is_full_disk(error):
        raise error
    cause = root_cause(error)
    if not isinstance(cause, InputError):
        LOGGER.error("%s failed", case, exc_info=error)
        cause = unforeseen(repairs.inputs[case].paths[0], error)
    repairs.blame(case, cause)


class SaveRepair(Transform):
    """Write an item's ``pred`` [1, i, j, k] with the affine of its ``image`` and the header of its grid, and its
    ``pred_ledger``, unless the case is passed by.

    Args:
        repairs: of the run.

    Raises:
        InputError: a place that cannot be written: no case's fault, and the end of the run.
    """

    def __init__(self, repairs: CaseStates) -> None:
        self.repairs = repairs

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        case = str(item["case"])
        if not self.repairs.passes(case):
            try:
                labels, affine = np.asarray(item["pred"][0]).astype(np.uint8), np.asarray(item["image"].affine)
                self.repairs.save(case, labels, affine, item["pred_ledger"], header_in(item))
            except InputError:
                raise
            except Exception as error:
                record_fault(case, error, self.repairs)
        return item


class FinishRepairs:
    """At the end of the run gather the ledgers, and name the cases that were left out.

    Args:
        repairs: of the run.
    """

    def __init__(self, repairs: CaseStates) -> None:
        self.repairs = repairs

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Raises ``InputError`` with the faults of all cases."""
        self.repairs.merge()
        faults, cases = self.repairs.faults, self.repairs.inputs
        if faults:
            each = " | ".join(f"{case}: {error}" for case, error in faults.items())
            found, wanted = f"{len(faults)} at fault [{each}]", "sound files of every one"
            remedy = "Mend these or take them out, and run it again"
            others = f"; the other {len(cases) - len(faults)} are done." if len(cases) > len(faults) else "."
            raise InputError(f"{len(cases)} cases", found, wanted, remedy + others)
