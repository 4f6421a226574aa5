"""Event loops for synchronous callers, deadlines and forks; independent of the API and of HTTP."""
