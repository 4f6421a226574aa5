"""Uses the functions of a queue's module, and prints what they return.

`submit.py MODULE answers CALLS` has the worker make calls and waits for their results, and
`submit.py MODULE send TASK CALLS` does not. `submit.py MODULE results SENT` returns the results that there are.
"""

import importlib
import json
import sys

import caller

module = importlib.import_module(sys.argv[1])
match sys.argv[2:]:
    case ["send", task, calls]:
        caller.report(module.send(task, caller.account_ids(int(calls))))
    case ["results", sent]:
        caller.report(module.results(json.loads(sent)))
    case [function, calls]:
        caller.report(getattr(module, function)(caller.account_ids(int(calls))))
