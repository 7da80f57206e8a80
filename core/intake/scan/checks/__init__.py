"""What is wrong with the voxels or geometry of a scan; knows of no file format."""
