"""Pretraining of record encoders: the next code of a record."""
