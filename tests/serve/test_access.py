"""Who may ask, and how much: keys, names, origins, rates, bodies."""

import asyncio
import contextlib

import pytest

from voxtral_kernels.serve.access import Access
from voxtral_kernels.serve.errors import Refused
from voxtral_kernels.serve.gate import Gate
from voxtral_kernels.serve.limits import Limits, Rate, Seats

KEY = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    ("host", "key", "more", "message"),
    [
        ("0.0.0.0", None, {}, "[serve] --api-key: expected a key"),
        ("192.168.1.5", None, {}, "[serve] --api-key: expected a key"),
        ("example.org", None, {}, "[serve] --api-key: expected a key"),
        ("::", None, {}, "[serve] --api-key: expected a key"),
        ("127.0.0.1", "", {}, "[serve] --api-key: expected 16 to 256 letters"),
        ("127.0.0.1", "short", {}, "[serve] --api-key: expected 16 to 256 letters"),
        ("127.0.0.1", "with spaces and, commas", {}, "[serve] --api-key: expected 16 to 256 letters"),
        ("127.0.0.1", None, {"origins": ["friend.example"]}, "[serve] --allow-origin: expected an origin"),
    ],
)
def test_what_no_server_starts_with(host, key, more, message):
    with pytest.raises(ValueError, match=r"^\[serve\]") as error:
        Access(host, key, **more)
    assert str(error.value).startswith(message)
    assert not key or key not in str(error.value)


@pytest.mark.parametrize(
    ("origin", "host", "fine"),
    [
        (None, "anything", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("https://speech.example", "speech.example", True),  # behind a proxy
        ("https://friend.example", "127.0.0.1:8000", True),
        ("http://friend.example", "127.0.0.1:8000", False),
        ("https://friend.example.evil", "127.0.0.1:8000", False),
        ("http://127.0.0.1:8001", "127.0.0.1:8000", False),
        ("http://127.0.0.1", "127.0.0.1:8000", False),
        ("http://localhost:8000", "127.0.0.1:8000", False),
        ("http://127.0.0.1:8000@evil.example", "127.0.0.1:8000", False),
        ("http://127.0.0.1:none", "127.0.0.1:8000", False),
        ("null", "127.0.0.1:8000", False),
        ("", "127.0.0.1:8000", False),
        ("http://", "", False),
    ],
)
def test_origins(origin, host, fine):
    access = Access("127.0.0.1", origins=["https://friend.example"])
    with contextlib.nullcontext() if fine else pytest.raises(Refused, match="origin"):
        access.check_origin(origin, host)


def test_names_of_a_server_elsewhere():
    own = Access("127.0.0.1", hosts=["speech.example"])
    for host in ("localhost:1", "127.0.0.1", "[::1]:8000", "SPEECH.example:443", "speech.example."):
        own.check_host(host)
    for host in ("", "evil.example", "127.0.0.1.evil.example", "localhost.evil", "[::2]"):
        with pytest.raises(Refused):
            own.check_host(host)
    Access("0.0.0.0", KEY).check_host("whatever.lan:8000")  # the key keeps bent names out
    with pytest.raises(Refused):
        Access("0.0.0.0", KEY, hosts=["speech.example"]).check_host("whatever.lan:8000")


def test_rates_are_an_addresss_own_and_come_back():
    now = [0.0]
    rate = Rate(60, clock=lambda: now[0])
    assert [rate.take("a") for _ in range(60)] == [0.0] * 60
    assert rate.take("a") == pytest.approx(1.0)
    assert rate.take("b") == 0.0
    now[0] = 1.0
    assert rate.take("a") == 0.0
    assert rate.take("a") > 0
    for i in range(5000):
        rate.take(f"10.0.{i}")
    assert len(rate._left) == 4096


def test_seats_are_given_in_turn():
    async def scenario():
        seats = Seats(1, waiting=1, wait_s=0.05)
        async with seats.seat(wait=False):
            with pytest.raises(Refused, match="All 1 slots") as full:
                async with seats.seat(wait=False):
                    pass
            assert (full.value.status, full.value.code) == (503, "slots_full")
            waiting = asyncio.create_task(take(seats))
            await asyncio.sleep(0)
            with pytest.raises(Refused):  # one waits already
                await take(seats)
            with pytest.raises(Refused):  # and has waited for long enough
                await waiting
            waiting = asyncio.create_task(take(seats))
            await asyncio.sleep(0)
        await waiting
        assert (seats.taken, seats.queued) == (0, 0)

    async def take(seats):
        async with seats.seat(wait=True):
            pass

    asyncio.run(scenario())


def test_a_reader_that_never_reads_is_cut_off():
    """The application's ``send`` hangs for ever: the gate gives up, tells nobody, and cuts the connection."""

    class Service:
        limits = Limits(send_s=0.05, connections=1)
        access = Access("127.0.0.1")
        draining = asyncio.Event()
        rate = Rate(60)
        served = type("Served", (), {"slots": 1})
        refusals: list[str] = []  # noqa: RUF012
        metrics = type("Metrics", (), {"refused": staticmethod(refusals.append)})
        from voxtral_kernels.serve.service import Service as _Real

        _connections = _recordings = 0
        connection = _Real.connection

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def never(message):
        await asyncio.Event().wait()

    async def scenario():
        cut, service = [], Service()
        scope = {"type": "http", "path": "/", "method": "GET", "client": ("127.0.0.1", 1), "query_string": b""}
        scope |= {"headers": [(b"host", b"localhost")], "state": {"abort": lambda: cut.append(True)}}
        await Gate(app, service)(scope, None, never)
        return cut, service.refusals, service._connections

    assert asyncio.run(scenario()) == ([True], ["slow_reader"], 0)
