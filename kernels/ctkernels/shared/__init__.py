"""Host arithmetic that both backends need, in NumPy alone and written once, so that their bits agree."""
