"""Files of the user's: their bytes, compressed or not, their encoding, and what a person must know of how they were
read."""
