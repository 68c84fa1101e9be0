"""Training protocols: gradients say what weight change is wanted, updates make pulses of it."""
