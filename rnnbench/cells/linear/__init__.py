"""Cells with s_t = a(u_t) · s_{t−1} + b(u_t), elementwise: trained in parallel over time by a scan."""
