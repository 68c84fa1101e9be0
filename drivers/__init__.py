"""Everything a bench can be plugged into: instruments, and the simulated arrays in :mod:`drivers.sim`."""
