"""Where a model runs, and who may use it: the device, and the one lock of all models."""
