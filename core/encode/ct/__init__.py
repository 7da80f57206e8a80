"""Encoders of scans: slices or volumes become tokens."""
