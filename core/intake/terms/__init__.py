"""Which words and forms name a person, and which are only what medicine says."""
