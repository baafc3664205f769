"""One sequence into another, written by a decoder."""
