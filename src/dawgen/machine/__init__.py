"""The machine: its limits and hardware, the meter for time, memory and energy, the network."""
