"""Pretraining of the CT encoder: findings and organs, cell by cell."""
