"""MedHMP (arXiv 2310.07871): bottom-up pretraining of a record encoder, stays (stage A), then admissions (stage B)."""
