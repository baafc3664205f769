"""Figures, each with its question as its title; `style` is how all of them look."""
