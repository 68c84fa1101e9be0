"""Update schemes on simulated arrays: what they pulse, what refresh keeps, what they refuse."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.sim import driver
from drivers.sim.bench import SimBench
from hil import session
from hil.errors import ConfigError
from hil.network import MatrixSize, Tile, Wanted, Weights, place, wanted_arrays
from hil.network.tile import scale_s
from hil.plan import run
from hil.schedule import Program, Schedule
from hil.training.contracts import Update
from protocols.updates.crus import Crus
from protocols.updates.refresh import Refresh, Wear, refresh
from protocols.updates.sensing import expected_steps, states
from protocols.updates.stochastic import Stochastic
from protocols.updates.unidirectional import Unidirectional

Side = Literal["pair", "split-pair", "reference"]
IN, OUT = 30, 12
CURVED = {"preset": "ideal", "levels_up": 128, "levels_down": 128, "nl_up": 4.88, "nl_down": -4.88}


def lab(
    device: dict[str, Any] | None = None,
    held: Weights = "pair",
    arrays: dict[str, tuple[int, int]] | None = None,
) -> tuple[SimBench, Tile]:
    """One layer of devices anywhere in their range, the same for all ways to hold them."""
    matrix = [MatrixSize("layer", IN, OUT)]
    settings = driver.settings(device={"preset": "ideal", **(device or {})})
    bench = SimBench(settings, arrays or wanted_arrays(matrix, held), seed=3)
    sheet = next(iter(bench.arrays.values())).device
    tile = Tile("layer", IN, OUT, place(matrix, bench.arrays, held)[0], scale_s(sheet, 1.0, held), sheet)
    rng = np.random.default_rng(4)
    plus, minus = (rng.integers(-400, 400, (IN, OUT)).astype(np.int16) for _ in range(2))
    bench.execute(tile.program(plus, minus))
    return bench, tile


def wanted(samples: int = 3, rate: float = 0.05) -> Wanted:
    rng = np.random.default_rng(6)
    x = np.where(rng.random((samples, IN)) < 0.3, 0, rng.uniform(-1, 1, (samples, IN)))
    d = rng.uniform(-1, 1, (samples, OUT))
    return Wanted(d.astype(np.float32), x.astype(np.float32), -rate / samples)


class Heard:
    """Pulses that ran, added up: int [2, in, out] of plus and minus devices."""

    def __init__(self, tile: Tile) -> None:
        self.tile = tile
        self.pulses = np.zeros((2, tile.n_in, tile.n_out), int)

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """Nothing is known yet."""

    def after(self, schedule: Schedule, execution: Any) -> None:
        for op in schedule:
            if not isinstance(op, Program):
                continue
            for block in self.tile.blocks:
                if block.region.array != op.region.array or op.region.cols[0] not in block.trained.cols:
                    continue
                at = np.searchsorted(block.region.rows, op.region.rows) + block.first_in
                if block.plus:
                    self.pulses[0, at, block.outputs] += op.counts[:, : block.n_out]
                if block.minus:
                    self.pulses[1, at, block.outputs] += op.counts[:, -block.n_out :]


def both(tile: Tile, bench: SimBench) -> NDArray[np.float32]:
    reading = run(tile.read(), bench)
    return np.stack((reading.plus, reading.minus))


def pulsed(
    rule: Update[Any], bench: SimBench, tile: Tile, change: Wanted, steps: int = 1
) -> NDArray[np.int_]:
    heard = Heard(tile)
    state = run(rule.start(tile, 9), bench)
    for _ in range(steps):
        state = run(rule.apply(tile, change, state), bench, heard)
    return heard.pulses


RULES: list[Update[Any]] = [
    Unidirectional(input_threshold=0.2, error_threshold=0.2),
    Unidirectional(counts="graded", input_threshold=0.1, error_threshold=0.1),
    Unidirectional(scheme="bidirectional", counts="graded"),
    Crus(sense_every=2),
    Stochastic(),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("measured", [False, True])
def test_two_arrays_get_the_pulses_that_one_array_would(rule: Update[Any], measured: bool) -> None:
    change = wanted()
    if measured:
        change = Wanted.measured(change.dense() / np.float32(change.factor), change.factor)
    together = pulsed(rule, *lab(CURVED), change)
    apart = pulsed(rule, *lab(CURVED, "split-pair"), change)
    assert (together == apart).all()
    assert (together != 0).any()


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_change_goes_the_way_that_is_wanted(rule: Update[Any]) -> None:
    change = wanted(samples=1)
    bench, tile = lab(CURVED)
    before = tile.weights(run(tile.read(), bench))
    state = run(rule.start(tile, 2), bench)
    for _ in range(20):
        state = run(rule.apply(tile, change, state), bench)
    moved = tile.weights(run(tile.read(), bench)) - before
    asked = change.dense()
    clear = (np.abs(moved) > 1e-3) & (asked != 0)
    assert clear.sum() > 50
    assert (np.sign(moved[clear]) == np.sign(asked[clear])).mean() > 0.95
    assert np.abs(moved[asked == 0]).max() < 1e-6


@pytest.mark.parametrize("abrupt", ["depression", "potentiation"])
@pytest.mark.parametrize("compensated", [True, False])
def test_crus_pulses_the_partner_where_the_device_has_little_left_to_give(
    abrupt: Literal["depression", "potentiation"], compensated: bool
) -> None:
    """Against the rule written out device by device; a whole number of pulses needs no chance."""
    bench, tile = lab(CURVED)
    rule = Crus(abrupt=abrupt, compensated=compensated, max_pulses=10_000, theta_high=0.4, theta_low=0.2)
    change = wanted(samples=1, rate=4.0)
    siemens = both(tile, bench)
    pulses = pulsed(rule, bench, tile, change)
    g = states(siemens, tile.sheet, 4)
    at = tile.sheet.g_min_s + g * (tile.sheet.g_max_s - tile.sheet.g_min_s)
    unknown = np.full_like(at, np.nan)
    up, down = expected_steps(at if compensated else unknown, tile.sheet, 0.01)
    asked = change.dense().T * tile.scale_s
    for i, j in np.ndindex(IN, OUT):
        rising, other = (0, 1) if asked[i, j] > 0 else (1, 0)
        if abrupt == "depression":
            reverse = g[rising, i, j] > 0.4 and g[other, i, j] > 0.2
            potentiates = not reverse
        else:
            reverse = 1 - g[other, i, j] > 0.4 and 1 - g[rising, i, j] > 0.2
            potentiates = reverse
        device, sign = (rising, 1) if potentiates else (other, -1)
        number = sign * abs(asked[i, j]) / (up if potentiates else down)[device, i, j]
        assert abs(pulses[device, i, j] - number) < 1.01
        assert pulses[1 - device, i, j] == 0


def test_crus_goes_by_what_it_sensed_last_until_it_senses_again() -> None:
    bench, tile = lab(CURVED)
    rule = Crus(sense_every=3)
    state = run(rule.start(tile, 1), bench)
    nothing = Wanted(np.zeros((1, OUT), np.float32), np.zeros((1, IN), np.float32), -1.0)
    bench.execute(tile.program(*(np.full((IN, OUT), -200, np.int16) for _ in range(2))))
    seen = []
    for _ in range(4):
        state = run(rule.apply(tile, nothing, state), bench)
        seen.append(state.rise)
    assert (seen[0] == seen[2]).all()
    assert (seen[3] != seen[2]).any()


@pytest.mark.parametrize("by", ["write-verify", "curve", "measured-gain"])
@pytest.mark.parametrize("held", ["pair", "split-pair"])
def test_refresh_keeps_the_weights_and_makes_room(
    by: Literal["write-verify", "curve", "measured-gain"], held: Weights
) -> None:
    bench, tile = lab(CURVED, held)
    before = both(tile, bench)
    worn = (states(before, tile.sheet).max(0) > 0.75) & (states(before, tile.sheet).min(0) > 0.25)
    assert worn.sum() > 20
    wear = run(refresh(tile, Refresh(by=by), Wear.of(tile)), bench)
    after = both(tile, bench)
    assert wear.pairs == worn.sum()
    assert (after[:, ~worn] == before[:, ~worn]).all()
    g = states(after, tile.sheet)
    assert g.min(axis=0)[worn].max() < 0.05
    off = (after[0] - after[1] - before[0] + before[1])[worn] / (tile.sheet.g_max_s - tile.sheet.g_min_s)
    coarsest = 5 / 128  # the first step of this curve, of the range
    assert np.abs(off).max() < 0.75 * coarsest + 0.01


def test_what_refresh_measures_of_devices_makes_the_next_one_more_exact() -> None:
    """Devices whose steps spread by 30 %; the same pairs are worn and refreshed again and again."""
    bench, tile = lab({"levels_up": 256, "levels_down": 256, "d2d": {"step": 0.3}})
    wear = Wear.of(tile)
    errors = []
    for _ in range(4):
        bench.execute(tile.program(np.full((IN, OUT), 600, np.int16), np.full((IN, OUT), 600, np.int16)))
        bench.execute(tile.program(np.full((IN, OUT), -100, np.int16), np.zeros((IN, OUT), np.int16)))
        before = both(tile, bench)
        wear = run(refresh(tile, Refresh(by="measured-gain", low=0.1), wear), bench)
        after = both(tile, bench)
        off = (after[0] - after[1] - before[0] + before[1]) / (tile.sheet.g_max_s - tile.sheet.g_min_s)
        errors.append(float(np.abs(off).mean()))
    assert errors[-1] < 0.5 * errors[0]


def test_pairs_that_only_rise_are_refreshed_when_it_is_time() -> None:
    bench, tile = lab(CURVED)
    rule = Unidirectional(refresh=Refresh(every=2), input_threshold=0, error_threshold=0)
    state = run(rule.start(tile, 1), bench)
    refreshed = []
    for _ in range(4):
        state = run(rule.apply(tile, wanted(), state), bench)
        assert state.wear is not None
        refreshed.append(state.wear.pairs)
    assert refreshed[0] == refreshed[1] == 0
    assert 0 < refreshed[2] == refreshed[3]


def test_a_single_device_follows_the_rule_both_ways_and_leaves_its_reference_alone() -> None:
    bench, tile = lab(held="reference")
    pulses = pulsed(
        Unidirectional(scheme="single", input_threshold=0.2, error_threshold=0.3), bench, tile, wanted()
    )
    change = wanted()
    x = np.sign(change.inputs) * (np.abs(change.inputs) > 0.2)
    d = np.sign(change.delta) * (np.abs(change.delta) > 0.3)
    assert (pulses[0] == -(x.T @ d)).all()
    assert (pulses[1] == 0).all()


@pytest.mark.parametrize(("scheme", "weights"), [("bidirectional", "reference"), ("single", "pair")])
def test_the_line_that_a_refused_scheme_is_told_to_write_is_one_that_goes(scheme: str, weights: str) -> None:
    def prepared(update: str, weights: str) -> None:
        prepare = session.prepare
        prepare(None, None, (f"update={update}", f"network.weights={weights}", "data.train=20")).bench.close()

    asked = f"{{name: unidirectional, scheme: {scheme}}}"
    with pytest.raises(ConfigError) as refused:
        prepared(asked, weights)
    told = re.search(r"write update: ({.*}), or network.weights: (\S+)$", str(refused.value))
    assert told is not None
    prepared(told[1], weights)
    prepared(asked, told[2])


@pytest.mark.parametrize(
    ("update", "weights", "key"),
    [
        (
            "{name: unidirectional}",
            "reference",
            r"update\.scheme: asked for 'unidirectional' \(the default\);",
        ),
        ("{name: unidirectional, scheme: single}", "pair", r"update\.scheme: asked for 'single';"),
        ("{name: crus}", "reference", r"update\.name: asked for 'crus'"),
        (
            "{name: unidirectional, refresh: {high: 0.2}}",
            "pair",
            r"update\.refresh\.low: 0\.25 must be below",
        ),
        ("{name: crus, theta_high: 1.5}", "pair", r"update\.theta_high: asked for 1\.5; must be less than 1"),
        ("{name: stochastic, length: 65}", "pair", r"update\.length: asked for 65"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(
    update: str, weights: str, key: str
) -> None:
    with pytest.raises(ConfigError, match=key):
        session.prepare(None, None, (f"update={update}", f"network.weights={weights}", "data.train=20"))
