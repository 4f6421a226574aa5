"""The emulated API in a process of its own: prints the environment that clients need, and serves until its input ends.

Its argument is the path of a JSON file with the accounts.
"""

import json
import sys
from pathlib import Path

from pagerduty_alerting.emulator import Emulator, InitialState, Operation, RateLimits

LATENCY = 0.01  # seconds, so that calls overlap

accounts = InitialState.from_file(Path(sys.argv[1]))
hanging = sys.argv[2]

with Emulator(rate_limits=RateLimits.unlimited(), initial_state=accounts, latency=LATENCY) as api:
    api.on(Operation.LIST).when(lambda request: hanging in request.path).hang()
    print(json.dumps(api.environ), flush=True)
    sys.stdin.read()
