"""A generative model of the timeline: events to tokens, a decoder of the next token, simulated futures."""
