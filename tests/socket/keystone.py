"""The keystone: one and the same training on any bench, and what it cost."""

from __future__ import annotations

from hil import setup
from hil.bench import Bench, Cost, CostMeter, Execution
from hil.limits import LimitedBench, Limits
from hil.pause import Pause
from hil.plan import run
from hil.schedule import Schedule
from hil.training.controller import Training, Whereabouts, train
from tests.sim.test_training import Notes


class Meter:
    """Adds up what a run cost."""

    def __init__(self) -> None:
        self.costs = CostMeter()

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """Nothing is known yet."""

    def after(self, schedule: Schedule, execution: Execution) -> None:
        for op, cost in zip(schedule, execution.costs, strict=True):
            self.costs.add(type(op).__name__, cost)


def trained(bench: Bench, *overrides: str, notes: Notes | None = None) -> Cost:
    """Train the built-in experiment with overrides on a bench; what it took.

    With ``notes`` a lost line is waited for, and they say what happened.
    """
    spec, _ = setup.load_experiment(None, overrides)
    data = setup.load_data(spec)
    limited = LimitedBench(bench, Limits())
    network = setup.build_network(spec, data, limited)
    training = Training(network, data, spec.gradient, spec.update, spec.training, spec.initial, spec.seed)
    meter = Meter()
    told, at = notes or Notes(), Whereabouts()
    pause = Pause(bench, 0.0 if notes is None else 20.0, at.__str__, told.event)
    run(train(training, told, at=at), limited, meter, pause)
    return meter.costs.total
