"""Classification: of whole sequences, and of every frame."""
