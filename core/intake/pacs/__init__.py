"""Images and patients of a DICOMweb server."""
