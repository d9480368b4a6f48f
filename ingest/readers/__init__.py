"""Readers turn a delivery's bytes into records of text cells; the bytes decide the format, never the suffix."""
