"""Cells whose next state depends on the last one in a nonlinear way: run one instant after the other."""
