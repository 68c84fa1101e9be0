"""The twin: a simulated bench whose every device behaves as the one that was measured."""
