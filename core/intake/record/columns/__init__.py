"""Which column holds what, and what its cells say: times, numbers, units, texts."""
