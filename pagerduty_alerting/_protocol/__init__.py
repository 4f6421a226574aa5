"""PURE: what the API says and what it means. No socket, no loop, no thread."""
