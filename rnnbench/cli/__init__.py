"""A module a verb, each with ``main(argv) -> exit status``."""
