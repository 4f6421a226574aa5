"""Strategies of Hypothesis that several modules use."""

from hypothesis import strategies as st

CHARACTERS = st.characters(exclude_categories=["Cs"])
"""The alphabet of `st.text` by default: all characters but surrogates. Preparing the default takes a second."""
