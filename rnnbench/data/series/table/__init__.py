"""A user's table of numbers: CSV and its relatives, Parquet, Excel.

pandas reads it; what it means is decided here, said in the notes, and refused where it cannot be known.
"""
