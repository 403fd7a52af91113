"""Ray Data: the groups through a pool of actors that hold the model, here or on a cluster."""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from .._errors import fail, printable
from .extra import OP, need
from .plan import Group, Plan
from .shards import Folder
from .worker import Done, Job, Worker, pack

# Blocks of the data set at most, each of whole groups: Ray holds some kilobytes of each in the driver.
BLOCKS = 2000
# Rows that wait for the workers; the rest of Ray's object store is not touched.
STORE = 512 << 20
# Seconds in which a cluster's address answers; Ray itself would try for minutes.
ANSWERS_S = 10.0
# A machine that has much else to do needs more than the 30 seconds that Ray gives its own start.
STARTS = 3
REFUSAL = re.compile(r"^\s*ValueError: (\[\w+\] .*: expected .*, got .*)$", re.MULTILINE)
RAISED = re.compile(r"^([A-Za-z_][\w.]*: .*)$", re.MULTILINE)
AROUND = "\n\nThe above exception was the direct cause of the following exception:"


@contextlib.contextmanager
def connected(address: str | None, workers: int | None, threads: int) -> Iterator[int]:
    """Ray: the cluster at ``address``, or one of this machine that ends with the block.

    Args:
        address: ``"host:port"``, ``"ray://host:port"`` or ``"auto"``; None: this machine.
        workers: None: as many as there are cores for; of Macs, whose GPU is one, one a machine.
        threads: Of a worker.

    Yields:
        The number of workers.

    Raises:
        ValueError: Ray is not installed, there is no cluster, or it has not enough cores.
    """
    ray = need("ray", "bulk")
    need("ray.data", "bulk")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    if address is None:
        wanted = workers or _default(cores(), 1, threads)
        options |= {"num_cpus": wanted * threads, "object_store_memory": STORE, "include_dashboard": False}
    try:
        _ask(address)
        with _own_sigterm():
            _init(ray, address or "local", options)
    except (OSError, ValueError, RuntimeError) as error:
        if address is None:
            raise
        got = f"{address!r} ({printable(str(error).splitlines()[0])})"
        raise fail(OP, "--ray", "the address of a Ray cluster that runs", got) from None
    try:
        have = int(ray.cluster_resources().get("CPU", 0))
        count = workers or _default(have, sum(node["Alive"] for node in ray.nodes()), threads)
        if count * threads > have:
            got = f"{count} of {threads} thread{'s' * (threads > 1)} each"
            raise fail(OP, "--workers", f"as many as the cluster has cores for, which are {have}", got)
        yield count
    finally:
        ray.shutdown()


def _init(ray: Any, address: str, options: dict[str, Any]) -> None:
    """Ray's start, again where only the time was short."""
    for left in reversed(range(STARTS)):
        try:
            ray.init(address=address, **options)
            return
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise
            ray.shutdown()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """The handler of SIGTERM is behind the block what it was before it.

    Ray's start sets one: a stack would be printed, and the exit status be 15, or that of an abort.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, came = signal.getsignal(signal.SIGTERM), False
    try:
        yield
    except SystemExit as end:
        came = end.code == signal.SIGTERM
        if not came:
            raise
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
    if came:
        signal.raise_signal(signal.SIGTERM)


def _ask(address: str | None) -> None:
    """Connect to the port of an address that names one.

    Raises:
        OSError: nobody answers.
        ValueError: it has no such port.
    """
    at = urlsplit(f"//{(address or '').rpartition('://')[2]}")
    if at.hostname and at.port:
        socket.create_connection((at.hostname, at.port), ANSWERS_S).close()


def cores() -> int:
    """Cores that this process may run on."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _default(have: int, nodes: int, threads: int) -> int:
    import mlx.core as mx

    return nodes if mx.metal.is_available() else max(have // threads, 1)


def run(plan: Plan, job: Job, workers: int, groups: int, *, worker: type[Worker] = Worker) -> Iterator[Done]:
    """Do what is left; lost workers are started again, and their group is done again.

    Args:
        plan: Of it.
        job: For the workers.
        workers: How many.
        groups: That are left.
        worker: What does it.

    Yields:
        What became of each group, as it is done.

    Raises:
        ValueError: a worker could not load the model or write; or it wrote where this process sees nothing.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for noisy in ("ray.data", "ray"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)  # an error is raised, and told once
    data = ray.data.from_arrow_refs(list(_blocks(plan, -(-groups // BLOCKS))))
    pool = ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1)
    # Lost actors are restarted and their tasks retried without end: Ray Data's own defaults.
    done = data.map_batches(worker, fn_constructor_args=(job,), batch_size=1, compute=pool, num_cpus=job.threads)
    out = Folder(job.out, job.form)
    with _told():
        for row in done.iter_rows():
            result = Done(**row)
            if not out.has(result.shard):
                got = f"{job.out!r}, where {result.node} wrote and this machine sees nothing"
                raise fail(OP, "--out", "a folder that all machines share, or a URL", got)
            yield result


def _blocks(plan: Plan, size: int) -> Iterator[Any]:
    """The groups as Arrow tables of ``size`` rows, in Ray's object store."""
    import ray

    def put(part: list[Group]) -> Any:
        arrow = need("pyarrow", "bulk")
        columns = {"shard": [group.shard for group in part], "entries": [pack(group) for group in part]}
        return ray.put(arrow.table(columns))

    part: list[Group] = []
    for group in plan:
        part.append(group)
        if len(part) == size:
            yield put(part)
            part = []
    if part:
        yield put(part)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Errors of workers without Ray's pages of traceback: the cause's own words."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        raise _cause(error) from None


def _cause(error: BaseException) -> BaseException:
    # Ray ends the text of what it wraps with advice of its own; what a worker raised stands in the traceback before it.
    if said := REFUSAL.findall(str(error)):
        return ValueError(printable(said[-1]))
    within, around, _ = str(error).partition(AROUND)
    if around and (said := RAISED.findall(within)):
        return RuntimeError(f"a worker: {printable(said[-1])}")
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException) and cause is not error:
        return _cause(cause)
    if isinstance(error, (ValueError, OSError)):
        return type(error)(printable(str(error).strip().splitlines()[-1]))
    return RuntimeError(printable(str(error).strip().splitlines()[-1]))
