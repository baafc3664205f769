"""Tables as data, a kind a file, and how they are written."""
