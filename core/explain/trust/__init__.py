"""Whether an explanation may be believed."""
