"""Faults to order: what they are, for which requests, and how they are played on a connection."""
