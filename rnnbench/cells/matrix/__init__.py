"""Cells whose state is a matrix written to by outer products: trained in parallel over time, chunk by chunk."""
