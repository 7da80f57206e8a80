"""Encoders of records: events become tokens."""
