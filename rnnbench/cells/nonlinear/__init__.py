"""Cells whose next state depends on the last one in a nonlinear way: run one time step after the other."""
