"""The machine: hardware, memory limits, measuring time and energy, blocking the network."""
