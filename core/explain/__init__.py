"""Why the model says so: saliency of the risk on voxels, attention over slices and events, event contributions."""
