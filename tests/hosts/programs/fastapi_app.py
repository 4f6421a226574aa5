"""FastAPI applications: `GET /ACCOUNT_ID` in a thread of FastAPI's, and on its event loop."""

import caller
from fastapi import FastAPI

in_threads = FastAPI()
on_the_loop = FastAPI()


@in_threads.get("/{account_id}")
def in_thread(account_id: str) -> list[str]:
    return caller.names(account_id)


@on_the_loop.get("/{account_id}")
async def on_loop(account_id: str) -> list[str]:
    return caller.names(account_id)
