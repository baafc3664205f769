"""Sequences that are drawn on the spot and made to need memory."""
