"""DICOM: headers, series, frames and their codecs."""
