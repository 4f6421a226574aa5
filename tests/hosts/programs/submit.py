"""Uses the functions of a queue's module, and prints what they return.

`submit.py MODULE answers CALLS` enqueues calls and waits for their results; `submit.py MODULE send TASK CALLS` does not
wait. `submit.py MODULE results SENT` prints the available results.
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
