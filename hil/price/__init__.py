"""What a run will cost before it is begun: hours, exchanges, pulses, wear, found without any instrument."""
