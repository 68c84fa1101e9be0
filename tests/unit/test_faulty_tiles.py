"""A tile pulses no device that is known not to work, reads it as not known, and has its partner make up
for it."""

from __future__ import annotations

import numpy as np
import pytest

from hil.bench import ArrayInfo, Cost, Execution
from hil.faults import Faults
from hil.network import MatrixSize, Tile, Weights, place
from hil.network.compensate import around_faults
from hil.network.tile import scale_s
from hil.schedule import Pulses, ReadAnswer
from hil.training.initial import write
from tests.unit.sheets import linear_sheet

LOW, HIGH = 1e-6, 11e-6
SHEET = linear_sheet(LOW, HIGH)
MANY = {"pair": {"main": (4, 6)}, "split-pair": {"a": (4, 3), "b": (4, 3)}, "reference": {"main": (4, 4)}}


def tile_with(weights: Weights, faulty: list[tuple[str, int, int, float]]) -> Tile:
    """A tile of 4 inputs and 3 outputs on arrays without a line to spare."""
    known: dict[str, Faults] = {}
    for name, shape in MANY[weights].items():
        kind, held = np.zeros(shape, np.uint8), np.full(shape, 5e-6, np.float32)
        for array, row, col, siemens in faulty:
            if array == name:
                kind[row, col], held[row, col] = 1, siemens
        known[name] = Faults(kind, held)
    arrays = {
        name: ArrayInfo(name, *shape, SHEET, faults=known[name]) for name, shape in MANY[weights].items()
    }
    ((*blocks,),) = place([MatrixSize("layer1", 4, 3)], arrays, weights)
    return Tile("layer1", 4, 3, tuple(blocks), scale_s(SHEET, 1.0, weights), SHEET, faults=known)


def given(tile: Tile, operations) -> int:
    """Pulses that operations give to faulty devices."""
    return sum(
        int(
            np.abs(
                op.counts[tile.faults[op.region.array].faulty[np.ix_(op.region.rows, op.region.cols)]]
            ).sum()
        )
        for op in operations
    )


@pytest.mark.parametrize("weights", ["pair", "split-pair", "reference"])
def test_no_pulse_reaches_a_faulty_device_and_all_others_get_theirs(weights: Weights) -> None:
    first = next(iter(MANY[weights]))
    tile = tile_with(weights, [(first, 1, 2, 5e-6), (first, 3, 0, 5e-6)])
    counts = np.arange(1, 13, dtype=np.int16).reshape(4, 3)
    dense = tile.program(counts, counts)
    assert given(tile, dense) == 0
    total = sum(int(values.sum()) for _, values in tile.laid_out(counts, counts))
    lost = sum(
        int(values[tile.faults[b.region.array].faulty[np.ix_(b.region.rows, b.region.cols)]].sum())
        for b, values in tile.laid_out(counts, counts)
    )
    assert lost > 0
    assert sum(int(op.counts.sum()) for op in dense) == total - lost

    block = tile.blocks[0]
    rows = block.trained.with_rows(np.array([1, 3]))
    n = rows.cols.size
    pulses = Pulses(
        np.array([0, n, 2 * n]), np.tile(np.arange(n, dtype=np.int32), 2), np.ones(2 * n, np.int16)
    )
    sparse = tile.pulse(rows, pulses)
    assert given(tile, [sparse]) == 0
    assert int(sparse.counts.sum()) == 2 * n - 2
    assert int(np.abs(sparse.pulses.numbers).sum()) == 2 * n - 2


def test_a_faulty_device_reads_as_not_known() -> None:
    tile = tile_with("pair", [("main", 1, 2, 5e-6), ("main", 3, 4, 5e-6)])
    for rows in (None, np.array([1, 3])):
        plan = tile.read(rows)
        (read,) = next(plan)
        answer = ReadAnswer(np.full(read.region.shape, 5e-7), np.zeros(read.region.shape, np.bool_), 0.1)
        with pytest.raises(StopIteration) as done:
            plan.send(Execution((answer,), (Cost(),)))
        reading = done.value.value
        asked = [0, 1, 2, 3] if rows is None else [1, 3]
        cells = np.argwhere(np.isnan(reading.plus[asked])), np.argwhere(np.isnan(reading.minus[asked]))
        place_of = {1: asked.index(1), 3: asked.index(3)}
        assert [each.tolist() for each in cells] == [[[place_of[1], 2]], [[place_of[3], 1]]]


def test_the_partner_makes_up_for_what_a_faulty_device_holds() -> None:
    tile = tile_with("pair", [("main", 0, 0, 8e-6), ("main", 1, 3, 2e-6), ("main", 2, 1, np.inf)])
    weights = np.full((4, 3), 0.2, np.float32)
    nominal = tile.targets(weights)
    around = around_faults(tile, weights, nominal)
    held = (around.plus - around.minus) / tile.scale_s
    assert np.isnan([around.plus[0, 0], around.minus[1, 0], around.plus[2, 1]]).all()
    assert (8e-6 - around.minus[0, 0]) / tile.scale_s == pytest.approx(0.2, abs=1e-6)
    assert (around.plus[1, 0] - 2e-6) / tile.scale_s == pytest.approx(0.2, abs=1e-6)
    assert around.minus[2, 1] == pytest.approx(HIGH)  # a short: as near as it comes
    np.testing.assert_allclose(held[~np.isnan(held)], 0.2, rtol=1e-5)
    assert np.count_nonzero(np.isnan(held)) == 3


def test_weights_stand_off_what_a_faulty_reference_holds() -> None:
    tile = tile_with("reference", [("main", each, each, 4e-6) for each in range(4)])
    (block,) = tile.blocks
    row = int(block.region.cols[-1])  # the reference's only fault is in this row
    weights = np.full((4, 3), 0.1, np.float32)
    around = around_faults(tile, weights, tile.targets(weights))
    assert np.isnan(around.minus[row]).all()
    np.testing.assert_allclose(around.plus[row], 4.5e-6, rtol=1e-5)
    assert np.count_nonzero(np.isnan(around.plus)) == 3


@pytest.mark.parametrize("kind", ["write-verify", "random"])
def test_initial_weights_are_written_around_faulty_devices(kind: str) -> None:
    from hil.config.experiment import InitialSettings

    tile = tile_with("pair", [("main", 0, 0, 8e-6), ("main", 1, 3, 2e-6)])
    plan = write(tile, np.full((4, 3), 0.2, np.float32), InitialSettings(kind=kind))
    schedule = next(plan)
    while True:
        assert given(tile, [op for op in schedule if hasattr(op, "counts")]) == 0
        answers = tuple(
            None
            if hasattr(op, "counts")
            else ReadAnswer(np.full((4, 6), 5e-7), np.zeros((4, 6), np.bool_), 0.1)
            for op in schedule
        )
        try:
            schedule = plan.send(Execution(answers, (Cost(),) * len(answers)))
        except StopIteration as done:
            written = done.value
            break
    assert written.devices == (22 if kind == "write-verify" else 24)
