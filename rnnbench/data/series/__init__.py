"""Forecasting, and the imitation of a system."""
