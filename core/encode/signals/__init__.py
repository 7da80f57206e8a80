"""Encoders of recorded signals."""
