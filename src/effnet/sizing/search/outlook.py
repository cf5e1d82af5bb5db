"""How long a search will take, from timed steps of a candidate."""

from dataclasses import dataclass
from time import perf_counter

from effnet.data.stream import released
from effnet.device import kept_memory
from effnet.sizing.search.plan import Plan
from effnet.training.duration import measure
from effnet.training.memory import MemoryGuard
from effnet.training.parts import assemble, build_trainer
from effnet.training.reporter import Reporter

MEASURE_SECONDS = 3.0


@dataclass(frozen=True)
class Outlook:
    """What a search still needs, before it starts."""

    trials: int
    """Trials left to do."""
    others: int
    """Other workers at it."""
    trial_seconds: float

    @property
    def seconds(self) -> float:
        """Time for all workers together, this one among them."""
        return self.trials * self.trial_seconds / (self.others + 1)


def trial_seconds(plan: Plan, reporter: Reporter, seconds: float = MEASURE_SECONDS) -> float:
    """Return about how long a trial takes, by steps of the dearest candidate; it is left untrained.

    Raises:
        EffnetError: it cannot be trained as it is, for want of memory for example.

    """
    plan.write_base()
    dearest = max(plan.candidates, key=lambda candidate: candidate.macs)
    config = plan.trial_config(dearest.coefficients, plan.config.seed)
    parts, started = assemble(plan.dataset, config), perf_counter()
    with kept_memory(parts.device):
        trainer = build_trainer(parts, reporter)
        with released(trainer.train.pixels, trainer.val.pixels), MemoryGuard(trainer, plan.folder) as guard:
            guard.prepare(reporter, may_choose=True)
            read = perf_counter() - started
            step, image = measure(trainer, seconds)
    judged = len(trainer.val.pixels) * (1 if trainer.average is None else 2)
    whole = read + config.epochs * (trainer.train.num_steps * step + judged * image)
    return whole if config.max_minutes is None else min(whole, 60 * config.max_minutes)
