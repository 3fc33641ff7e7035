"""A Dask cluster to compute on: one that is there, or one made for a run on this machine."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from metarho.batch.runners.processes import MOST_DEATHS
from metarho.errors import FitError, InputError, shown

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

LOCAL = "local"
# Seconds until a scheduler that does not answer is given up. One that has much to do answers late,
# one across a network that was cut never; Dask itself would wait for half a minute and reconnect.
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
_LOOPBACK = "127.0.0.1"
_ALLOWED = (
    "allowed: local, or the address of a scheduler, such as tcp://host:8786 or tls://host:8786"
)


def check_address(address: str, workers: int, time_limit: float | None) -> None:
    """Raises InputError where ``--dask`` cannot be what was asked for."""
    if address != LOCAL and not _is_scheduler(address):
        raise InputError(f"--dask: {shown(address)} is no scheduler; {_ALLOWED}")
    if address != LOCAL and workers > 1:
        raise InputError(
            f"--workers {workers}: a scheduler computes with the workers that it has; give "
            "--workers with --dask local, or without --dask"
        )
    if time_limit is not None:
        raise InputError(
            "--time-limit: Dask cannot stop a task that runs; leave it out, or compute without "
            "--dask (--workers N), where a fit is stopped"
        )
    if find_spec("distributed") is None:
        raise InputError("--dask needs the package distributed: pip install 'metarho[dask]'")
    if address.startswith("tls"):
        _check_certificates()


def _is_scheduler(address: str) -> bool:
    try:
        parts = urlsplit(address)
        there = parts.hostname and parts.port
    except ValueError:
        return False
    plain = f"{parts.scheme}://{parts.netloc}" == address and "@" not in parts.netloc
    return bool(there) and plain and parts.scheme in ("tcp", "tls")


@contextmanager
def connected(address: str, workers: int) -> Iterator[Client]:
    """A client of a scheduler; of a new cluster with so many workers where the address is local.

    With 0 or 1 it has a worker for each processor. Raises FitError where it cannot be reached.
    """
    import dask

    # Before settings are laid over its own, which leave again with what was laid over them.
    import distributed

    settings = {
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS:g}s",
        "distributed.comm.timeouts.tcp": f"{ANSWER_SECONDS:g}s",
        "distributed.scheduler.allowed-failures": MOST_DEATHS - 1,
        # A local cluster would close a worker's nanny for good that happens to be restarting it so
        # many seconds after an earlier death; with some deaths none would be left.
        "distributed.deploy.lost-worker-timeout": "365 days",
        # Servers for HTTP start whatever one says; these have no page to show.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with ExitStack() as opened:
        opened.enter_context(dask.config.set(settings))
        opened.enter_context(_quiet())
        target: object = address
        if address == LOCAL:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="metarho-dask-"))
            target = opened.enter_context(_local_cluster(workers, folder))
        try:
            client = distributed.Client(target, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise FitError(
                f"no scheduler answers at {address} ({said(error)}); start one with dask "
                "scheduler, or compute here with --dask local or --workers"
            ) from error
        opened.callback(client.close, CONNECT_SECONDS)
        yield client


def _local_cluster(workers: int, folder: str) -> LocalCluster:
    """A scheduler in this process, with workers in others. Raises FitError."""
    import distributed

    try:
        return distributed.LocalCluster(
            n_workers=workers if workers > 1 else os.cpu_count() or 1,
            threads_per_worker=1,
            host=_LOOPBACK,
            dashboard_address=f"{_LOOPBACK}:0",
            scheduler_kwargs={"dashboard": False},
            preload="metarho.batch.runners.dask_task",
            local_directory=folder,
            # Not ended by Dask for what it believes of memory.
            memory_limit=None,
            silence_logs=logging.CRITICAL + 1,
        )
    except (RuntimeError, OSError) as error:
        # Once they run, others take the place of those that die.
        raise FitError(
            f"the workers of this run did not start ({said(error)}); run the same command again, "
            "or use --workers without --dask"
        ) from error


def _check_certificates() -> None:
    """Raises InputError where Dask has not been told of certificates, or cannot use them."""
    from distributed.security import Security

    try:
        found = Security().get_connection_args("client").get("ssl_context")
    except (OSError, ValueError) as error:
        raise InputError(
            f"--dask tls://...: the certificates cannot be used: {said(error)}"
        ) from None
    if found is None:
        raise InputError(
            "--dask tls://... needs certificates; say in Dask's configuration where they are: "
            "distributed.comm.tls, ca-file and client's cert and key (docs/cluster.md)"
        )


def said(error: BaseException) -> str:
    """The kind of an error of a library, and its first line."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Dask and its web server print for those who run clusters."""
    handlers = [h for name in ("distributed", "tornado") for h in logging.getLogger(name).handlers]
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)
