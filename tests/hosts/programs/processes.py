"""Makes calls in a pool of processes, started by the method in the argument; each imports the client's module."""

import multiprocessing
import sys

import caller

if __name__ == "__main__":
    accounts = caller.account_ids()
    with multiprocessing.get_context(sys.argv[1]).Pool(4) as pool:
        answers = dict(zip(accounts, pool.map(caller.names_or_error, accounts), strict=True))
        pool.close()
        pool.join()
    caller.report(answers)
