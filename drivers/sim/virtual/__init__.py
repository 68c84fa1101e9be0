"""Instruments that exist only as their vendors' manuals describe them, coupled to simulated devices."""
