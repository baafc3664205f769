"""The machine, its processes and signals, the terminal, the cache of derived data."""
