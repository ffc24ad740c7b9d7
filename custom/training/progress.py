"""Progress bars: over the epochs of a training run, over the cases of an inference run."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator
from tqdm import tqdm

from .handlers import loss_of


class ProgressBar:
    """A bar that an engine's end closes, a failing one's too."""

    bar: tqdm[Any] | None = None

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self.close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.fail)

    def close(self, engine: Engine) -> None:
        if self.bar is not None:
            self.bar.close()

    def fail(self, engine: Engine, error: BaseException) -> None:
        self.close(engine)
        raise error


class CaseProgress(ProgressBar):
    """A progress bar over the cases of an evaluator.

    Args:
        description: what stands before the bar.
    """

    def __init__(self, description: str) -> None:
        self.description = description

    def attach(self, engine: Engine) -> None:
        super().attach(engine)
        engine.add_event_handler(Events.STARTED, self.open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)

    def open(self, engine: Engine) -> None:
        self.bar = tqdm(total=engine.state.epoch_length, desc=self.description, unit="case")

    def step(self, engine: Engine) -> None:
        if self.bar is not None:
            self.bar.update()


class EpochProgress(ProgressBar):
    """A progress bar over epochs, with the loss and the last validation metric.

    Args:
        description: what stands before the bar.
        evaluator: whose metric is shown.
        disable: no bar, for other processes than the first.
        metric: the one to show of several; empty for all.
    """

    def __init__(
        self, description: str, evaluator: Evaluator | None = None, disable: bool = False, metric: str = ""
    ) -> None:
        self.description, self.evaluator, self.disable, self.metric = description, evaluator, disable, metric

    def attach(self, engine: Engine) -> None:
        super().attach(engine)
        engine.add_event_handler(Events.EPOCH_STARTED, self.open)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.step)

    def open(self, engine: Engine) -> None:
        if self.bar is None:
            done = engine.state.epoch - 1
            self.bar = tqdm(
                total=engine.state.max_epochs, initial=done, desc=self.description, unit="epoch", disable=self.disable
            )

    def step(self, engine: Engine) -> None:
        assert self.bar is not None
        output: Any = engine.state.output
        shown = {"loss": f"{loss_of(output):.4f}"}
        if self.evaluator is not None and self.evaluator.state.iteration:
            metrics = self.evaluator.state.metrics
            shown |= {name: f"{value:.4f}" for name, value in metrics.items() if self.metric in ("", name)}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()
