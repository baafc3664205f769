"""What is measured inside a model: pure functions."""
