"""One conversation with one instrument that never takes an old answer for a new one."""
