"""What a simulated bench refuses to drive, at the edge of its converter's range."""

import numpy as np
import pytest

from hil.errors import LimitError
from hil.limits import LimitedBench, Limits
from hil.schedule import Multiply


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("volts", [0.1, 0.15, 0.2])
def test_a_range_equal_to_the_read_voltage_is_enough_and_the_rule_is_that_of_limits(
    volts, bits, open_bench, whole
):
    bench = open_bench((2, 3), read={"voltage": volts}, dac={"range": volts, "bits": bits})
    full = np.full((1, 2), volts, np.float32)
    above = np.nextafter(full, np.float32(1))
    exact = np.full((1, 2), volts)
    for allowed in (full, -full, above, exact):
        amperes = bench.execute((Multiply(whole(bench), allowed, 1e-6),)).answers[0].amperes
        expected = allowed @ bench.conductances("main")
        np.testing.assert_allclose(amperes, expected, rtol=1e-6)
        LimitedBench(bench, Limits(read_v=volts)).execute((Multiply(whole(bench), allowed, 1e-6),))
    for refused in (np.nextafter(above, np.float32(1)), np.nextafter(exact, 1)):
        for asked in (bench, LimitedBench(bench, Limits(read_v=volts))):
            with pytest.raises(LimitError, match="volts"):
                asked.execute((Multiply(whole(bench), refused, 1e-6),))
