"""Pretraining of record encoders on what happened to training patients."""
