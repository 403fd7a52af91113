"""https and wss by a certificate of the user's own; one that does not serve is told before anything is loaded."""

import asyncio
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request

import pytest
from websockets.asyncio.client import connect

from tests.serve.clients import append, commit, done, pcm, update
from tests.serve.conftest import EXAMPLES
from tests.serve.starting import Started
from voxtral_kernels.cli import main


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A folder: a certificate of localhost with its key, that key under a passphrase, a key of nothing."""
    openssl, folder = shutil.which("openssl"), tmp_path_factory.mktemp("pem")
    if openssl is None:
        pytest.skip("no openssl on this machine")
    (folder / "openssl.cnf").write_text(
        "[req]\ndistinguished_name=name\nx509_extensions=more\n[name]\n[more]\nsubjectAltName=DNS:localhost\n"
    )
    new = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -config openssl.cnf"
    for command in (
        f"{new} -keyout key.pem -out cert.pem",
        f"{new} -keyout other.pem -out cert-of-other.pem",
        "rsa -aes256 -passout pass:secret -in key.pem -out locked.pem",
    ):
        subprocess.run([openssl, *command.split()], cwd=folder, check=True, capture_output=True)
    return folder


def test_a_recording_and_a_live_client(pem):
    server = Started("--certfile", str(pem / "cert.pem"), "--keyfile", str(pem / "key.pem"))
    try:
        trusting = ssl.create_default_context(cafile=pem / "cert.pem")
        where = f"localhost:{server.port}"
        assert f"https://127.0.0.1:{server.port}/" in server.said
        with urllib.request.urlopen(f"https://{where}/health", context=trusting, timeout=20) as answer:
            assert answer.status == 200
        with pytest.raises(OSError, match=r"without response|reset"):  # no plain answer on this port
            urllib.request.urlopen(f"http://{where}/health", timeout=20)

        async def live():
            async with connect(f"wss://{where}/v1/realtime", ssl=trusting, origin=f"https://{where}") as socket:
                await socket.recv()
                for message in (update(), commit(), append(pcm(EXAMPLES / "human-card-1.wav")), commit(final=True)):
                    await socket.send(message)
                return (await done(socket))[0]["text"]

        assert asyncio.run(asyncio.wait_for(live(), 60)) == "ten of clubs"
    finally:
        status, said = server.stop()
    assert status == 143
    assert said.count("\n") == 1, said


@pytest.mark.soak
def test_handshakes_that_do_not_end(pem):
    """A hundred that say nothing: others are served meanwhile, they are cut off."""
    server = Started("--certfile", str(pem / "cert.pem"), "--keyfile", str(pem / "key.pem"))
    clients = [socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(100)]
    try:
        begun, trusting = time.monotonic(), ssl.create_default_context(cafile=pem / "cert.pem")
        with urllib.request.urlopen(f"https://localhost:{server.port}/health", context=trusting, timeout=9) as answer:
            assert answer.status == 200
        for client in clients:
            assert client.recv(1) == b""
        assert 9 < time.monotonic() - begun < 20
    finally:
        for client in clients:
            client.close()
        status, said = server.stop()
    assert (status, said.count("\n")) == (143, 1), said


@pytest.mark.fault("errors: a certificate that does not serve was told without its name, after the model was loaded")
@pytest.mark.parametrize(
    ("certificate", "key", "expected"),
    [
        (
            "none.pem",
            "key.pem",
            "--certfile: expected a file that can be read, got {}/none.pem (No such file or directory).",
        ),
        (
            "cert.pem",
            "none.pem",
            "--keyfile: expected a file that can be read, got {}/none.pem (No such file or directory).",
        ),
        (".", "key.pem", "--certfile: expected a file that can be read, got {}/. (Is a directory)."),
        ("openssl.cnf", "key.pem", "--certfile: expected a certificate in PEM, got {}/openssl.cnf."),
        ("key.pem", "key.pem", "--certfile: expected a certificate in PEM, got {}/key.pem."),
        ("cert.pem", "cert.pem", "--keyfile: expected a key in PEM, got {}/cert.pem."),
        (
            "cert.pem",
            "other.pem",
            "--keyfile: expected the key of {0}/cert.pem, got {0}/other.pem (of another certificate).",
        ),
        ("cert.pem", "locked.pem", "--keyfile: expected a key without a passphrase, got {}/locked.pem."),
    ],
)
def test_certificates_that_do_not_serve(pem, certificate, key, expected, capsys):
    files = ["--certfile", f"{pem}/{certificate}", "--keyfile", f"{pem}/{key}"]
    assert main(["serve", "--model", "no-such-model", "--port", "0", *files]) == 2
    assert capsys.readouterr().err == f"voxtral-kernels: error: [serve] {expected.format(pem)}\n"
