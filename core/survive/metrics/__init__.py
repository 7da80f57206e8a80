"""Outcome statistics: every estimate carries its estimator, horizon, weights, interval method, patients and events."""
