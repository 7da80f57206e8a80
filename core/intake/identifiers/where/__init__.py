"""Where identifiers stand: in DICOM, NIfTI, tables, JSON and what holds them."""
