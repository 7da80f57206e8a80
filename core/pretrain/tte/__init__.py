"""Time-to-event pretraining of a 3D CT encoder (arXiv 2411.09361): what the record says after the scan, as many
censored tasks."""
