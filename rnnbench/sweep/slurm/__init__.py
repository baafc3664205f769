"""Sweeps on a Slurm cluster: an array of ordinary sweeps on one ledger."""
