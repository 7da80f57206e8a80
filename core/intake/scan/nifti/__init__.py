"""NIfTI: header and voxels."""
