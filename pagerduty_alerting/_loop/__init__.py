"""Event loops for callers without one, deadlines and forks. Knows neither the API nor HTTP."""
