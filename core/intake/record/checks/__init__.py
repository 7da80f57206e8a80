"""What in a record may not be as it stands: states of rows, values of two kinds, doubtful numbers."""
