"""Panels of the pages."""
