"""What is no recurrence at all, to measure recurrences against: its state is the last inputs that it still sees."""
