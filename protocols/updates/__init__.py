"""How a wanted change becomes pulses: one scheme a file."""
