"""Files of one patient on their way in: scans, records, servers of images, and what in them may identify a person."""
