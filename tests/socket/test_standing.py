"""How each kind of instrument says that it stands: an output that is on and at what, crosspoints closed."""

from __future__ import annotations

import numpy as np
import pytest

from hil.instruments import Crosspoint, Standing, Stands
from hil.schedule import Pulse
from tests.socket import b1500_lab, matrix_lab, smu_lab, test_pulsers
from tests.socket.matrix_lab import FAMILY
from tests.socket.smu_lab import SMUS, SOURCING, VOLTS

ON_BY_HAND = {
    "2400": ":SOUR:FUNC VOLT;:SOUR:VOLT 0.1;:OUTP 1",
    "2450": ":SOUR:FUNC VOLT;:SOUR:VOLT 0.1;:OUTP 1",
    "b2900": ":SOUR1:FUNC:MODE VOLT;:SOUR1:VOLT 0.1;:OUTP1 1",
    "2600": "smua.source.func=1 smua.source.levelv=0.1 smua.source.output=1",
}


@pytest.mark.parametrize("name", SMUS)
def test_a_source_measure_unit_tells_its_output_and_its_level_and_changes_nothing(name: str) -> None:
    with smu_lab.lab(SMUS[name]) as bench:
        assert bench.smu.standing() == Standing(False, "output off")
        bench.smu.session.write(ON_BY_HAND[name])
        bench.smu.identify()  # the command has been done when this is answered
        held = dict(bench.output.values)
        assert bench.smu.standing() == Standing(True, "output on at 100 mV")
        assert bench.output.values == held
        assert bench.on
        bench.smu.measure(VOLTS, SOURCING)
        assert bench.smu.standing() == Standing(True, "output on at 0 V")
        assert bench.smu.make_safe() == ()
        assert bench.smu.standing() == Standing(False, "output off")


def test_the_drivers_offer_it_as_the_contract_has_it() -> None:
    with smu_lab.lab(SMUS["2600"]) as bench:
        assert isinstance(bench.smu, Stands)


def test_a_source_of_current_is_told_without_a_voltage_that_it_does_not_source() -> None:
    with smu_lab.lab(SMUS["2600"]) as bench:
        bench.smu.session.write("smua.source.func=0 smua.source.leveli=1e-6 smua.source.output=1")
        assert bench.smu.standing() == Standing(True, "output on, sourcing a current")


@test_pulsers.FAMILIES
def test_a_pulse_generator_tells_its_output_and_its_levels(family: test_pulsers.Family) -> None:
    with test_pulsers.lab(family) as bench:
        assert not bench.pulser.standing().live
        bench.pulser.burst(test_pulsers.UP, 1)
        assert bench.pulser.standing() == Standing(True, "output on, pulses from 0 V to 1.2 V")
        assert bench.channel.bursts == 1
        assert bench.pulser.make_safe() == ()
        assert bench.pulser.standing() == Standing(False, "output off")


@pytest.mark.parametrize("family", FAMILY)
def test_a_matrix_tells_how_many_crosspoints_are_closed_and_the_first_of_them(
    family: matrix_lab.Family,
) -> None:
    with matrix_lab.lab(family) as bench:
        assert bench.matrix.standing() == Standing(False, "all open")
        bench.matrix.connect((Crosspoint(0, 4), Crosspoint(1, 5)))
        steps = len(bench.wires.steps)
        assert bench.matrix.standing() == Standing(True, f"2 closed: {', '.join(family.names)}")
        bench.matrix.connect([Crosspoint(0, col) for col in range(6)])
        live, words = bench.matrix.standing()
        assert live
        assert words.startswith("6 closed: ")
        assert words.endswith(", …")
        assert words.count(",") == 4
        assert len(bench.wires.steps) > steps
        assert len(bench.wires.closed) == 6


def test_modules_of_a_mainframe_tell_each_of_its_own_output() -> None:
    with b1500_lab.lab() as bench:
        off = Standing(False, "output off")
        assert [each.standing() for each in (bench.smu, bench.pulser, bench.other)] == [off] * 3
        bench.smu.measure(np.array([0.1]), b1500_lab.SOURCING)
        assert bench.smu.standing() == Standing(True, "output on at 0 V")
        assert bench.pulser.standing() == off
        bench.pulser.burst(Pulse(1.2, 1e-6, 1e-6), 1)
        assert bench.pulser.standing() == Standing(True, "output on, pulses from 0 V to 1.2 V")
        assert bench.other.standing() == off
        bench.smu.session.write("DV 1,20,0.5,1e-4")
        assert bench.smu.standing() == Standing(True, "output on at 500 mV")
