"""The files of W&B's sweeps: read without a server, and written for its agents."""
