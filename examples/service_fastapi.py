"""A FastAPI service that owns one client for its lifetime: GET /services.

Needs fastapi and uvicorn, and reads the CLOUDFLARE_* variables. Run it in this directory with
`uvicorn service_fastapi:app`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

from attrs import asdict
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from pagerduty_alerting import AsyncClient, PagerDutyAlertingError


class State(TypedDict):
    client: AsyncClient


class ServiceOut(BaseModel):
    id: str
    name: str


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    async with AsyncClient(timeout=10) as client:
        yield {"client": client}


def client_of(request: Request) -> AsyncClient:
    client: AsyncClient = request.state.client
    return client


app = FastAPI(lifespan=lifespan)


@app.get("/services", response_model=list[ServiceOut])
async def list_services(client: Annotated[AsyncClient, Depends(client_of)]) -> object:
    return [asdict(service) for service in await client.list_services()]


@app.exception_handler(PagerDutyAlertingError)
async def report_failure(_: Request, error: PagerDutyAlertingError) -> JSONResponse:
    return JSONResponse({"error": str(error)}, status_code=502)  # its text contains no secret
