"""Has a queue's worker make calls, and prints the results: `submit.py MODULE FUNCTION CALLS`."""

import importlib
import sys

import caller

module, function, calls = sys.argv[1:]
caller.report(getattr(importlib.import_module(module), function)(caller.account_ids(int(calls))))
