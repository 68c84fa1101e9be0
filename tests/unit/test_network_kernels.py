"""The host's compiled arithmetic where float32 ends."""

from __future__ import annotations

import numpy as np

from hil.network.kernels import peaks


def test_a_vector_too_small_to_be_scaled_to_a_voltage_counts_as_zero() -> None:
    values = np.array([[0.0, 0.0], [1e-38, -1e-39], [1e-20, -2e-20], [3.0, -4.0]], np.float32)
    found = peaks(values, np.zeros((1, 1), np.float32))
    np.testing.assert_array_equal(found[:, 0], np.array([1, 1, 2e-20, 4], np.float32))
    assert np.isfinite(values * (np.float32(0.1) / found)).all()
