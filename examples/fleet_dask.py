"""Lists the services of many accounts on a Dask cluster: each task takes one partition of the account ids.

    python fleet_dask.py accounts.txt                            # on processes of this machine
    python fleet_dask.py accounts.txt tcp://scheduler:8786       # on a cluster

Needs `dask[distributed]`. Workers read the CLOUDFLARE_* variables of their own environment: no secret is sent to them,
and a client cannot be pickled. All workers share the quota of the token. Here each worker reads what remains of it from
its responses; for many workers that run for long, share a limiter as in fleet_shared_limiter.py.
"""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

import dask.bag
from distributed import Client as Cluster

from pagerduty_alerting import AsyncClient

PARTITIONS = 8

Record = dict[str, object]


def list_partition(account_ids: Iterable[str]) -> list[Record]:
    """Lists one partition, with its own client; returns plain records, which every engine and pandas can read."""

    async def run() -> list[Record]:
        async with AsyncClient() as client:
            return [
                {
                    "account_id": result.account_id,
                    "services": None if result.services is None else [service.name for service in result.services],
                    "error": None if result.error is None else str(result.error),
                }
                async for result in client.list_services_in(account_ids)
            ]

    return asyncio.run(run())


def list_all(cluster: Cluster, account_ids: Iterable[str]) -> list[Record]:
    """Runs the partitions on the cluster. With `.to_dataframe()` the records stay there."""
    bag = dask.bag.from_sequence(account_ids, npartitions=PARTITIONS)
    return cluster.compute(bag.map_partitions(list_partition)).result()


def main(accounts: str, scheduler: str | None = None) -> None:
    account_ids = Path(accounts).read_text(encoding="utf-8").split()
    # Without the address of a scheduler this starts a `LocalCluster`.
    cluster = Cluster(scheduler) if scheduler else Cluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster:
        records = list_all(cluster, account_ids)
    unconnected = [record["account_id"] for record in records if record["services"] == []]
    failed = [record["account_id"] for record in records if record["error"] is not None]
    print(f"{len(records)} accounts, {len(unconnected)} with nothing connected, {len(failed)} failed")
    for account_id in unconnected:
        print(account_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
