"""Faults that tests order: their kinds, the requests they apply to, and how they act on a connection."""
