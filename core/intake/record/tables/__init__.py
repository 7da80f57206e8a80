"""Tables as files hold them: text, parquet, MEDS, i2b2; encodings and delimiters."""
