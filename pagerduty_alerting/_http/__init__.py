"""HTTP with aiohttp: the only package that sends a request."""
