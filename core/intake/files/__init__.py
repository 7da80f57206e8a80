"""Bytes and where they lie: folders, files, uploads, zip and tar, with limits on what they may unpack to."""
