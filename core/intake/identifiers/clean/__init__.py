"""What a cleaned file keeps."""
