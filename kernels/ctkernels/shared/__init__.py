"""Host arithmetic that both backends need, in NumPy alone, so that their bits agree."""
