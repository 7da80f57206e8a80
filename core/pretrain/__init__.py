"""Pretraining of the CT encoder: dense findings, measurements and time to event; linear probes of what it reads."""
