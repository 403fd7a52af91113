"""Recordings in OpenAI's form: what its own client gets is what the command line prints."""

import json
import runpy
import tomllib

import openai
import pytest

from tests.serve.clients import get, metrics
from tests.serve.conftest import EXAMPLES, command

CARDS = EXAMPLES / "human-card-5.wav"


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(client, path=CARDS, **options):
    with open(path, "rb") as file:
        return client.audio.transcriptions.create(model="tiny", file=file, **options)


def test_openais_client_gets_the_command_lines_text(client, said):
    expected = said[CARDS.name]
    assert ask(client).text == expected
    assert ask(client, response_format="text") == f"{expected}\n"
    for form in ("srt", "vtt"):
        assert ask(client, response_format=form) == command("transcribe", CARDS, "--format", form)


def test_verbose_json_has_the_command_lines_words_and_segments(client):
    expected = json.loads(command("transcribe", CARDS, "--format", "json"))
    found = ask(client, response_format="verbose_json", timestamp_granularities=["word", "segment"], language="en")
    assert [(w.word, w.start, w.end) for w in found.words] == [
        (w["text"], w["start_s"], w["end_s"]) for w in expected["words"]
    ]
    assert [(s.text, s.start, s.end) for s in found.segments] == [
        (s["text"], s["start_s"], s["end_s"]) for s in expected["segments"]
    ]
    assert (found.text, found.duration, found.language) == (expected["text"], expected["duration_s"], "en")
    assert ask(client, response_format="verbose_json").words is None


def test_a_stream_of_events_ends_with_the_text(client, said):
    events = list(ask(client, stream=True))
    assert {event.type for event in events[:-1]} == {"transcript.text.delta"}
    assert len(events) > 5
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == said[CARDS.name]
    assert events[-1].usage.input_tokens == 44  # 3.5 s, a token each 80 ms


def test_models_and_health(client, server):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert json.loads(get(server, "/health")[2]) == {"status": "ok"}
    assert get(server, "/nothing")[0] == 404


def test_metrics_count(client, server):
    before = metrics(server)
    ask(client)
    after = metrics(server)
    assert after['voxtral_transcriptions_total{kind="recording"}'] - before.get(
        'voxtral_transcriptions_total{kind="recording"}', 0
    ) == pytest.approx(1)
    assert after["voxtral_audio_seconds_total"] - before["voxtral_audio_seconds_total"] == pytest.approx(3.5, abs=0.01)
    assert after["voxtral_steps_total"] > before["voxtral_steps_total"]
    assert (after["voxtral_streams"], after["voxtral_slots"], after["voxtral_backlog_seconds"]) == (0, 8, 0)
    assert 0 < after["voxtral_step_seconds"] < 10
    assert after['voxtral_memory_bytes{kind="active"}'] > 1e6


WRONG = [
    ({"model": "whisper-9"}, 404, "model_not_found", "model"),
    ({"response_format": "diarized_json"}, 400, "invalid_value", "response_format"),
    ({"temperature": "0.5"}, 400, "invalid_value", "temperature"),
    ({"temperature": "warm"}, 400, "invalid_value", "temperature"),
    ({"language": "en; drop"}, 400, "invalid_value", "language"),
    ({"stream": "perhaps"}, 400, "invalid_value", "stream"),
    ({"delay_ms": "81"}, 400, "invalid_value", None),
    ({"include[]": "logprobs"}, 400, "invalid_value", "include"),
    ({"timestamp_granularities[]": "word"}, 400, "invalid_value", "timestamp_granularities"),
    ({"file": None}, 400, "missing_file", "file"),
    ({"file": b"no sound in here"}, 400, "invalid_audio", "file"),
    ({"file": b""}, 400, "invalid_audio", "file"),
    ({"file": b"#EXTM3U\nfile:///etc/passwd\n"}, 400, "invalid_audio", "file"),
    ({f"field{i}": "x" for i in range(40)}, 400, "invalid_form", None),
    ({"prompt": "x" * 100_000}, 400, "invalid_form", None),
]


def test_wrong_requests_are_refused_in_openais_form(server):
    for wrong, status, code, param in WRONG:
        fields = {"file": CARDS.read_bytes(), **wrong}
        got, headers, body = get(server, "/v1/audio/transcriptions", "POST", *form(fields))
        error = json.loads(body)["error"]
        assert (got, error["code"], error["param"]) == (status, code, param), (wrong, error)
        assert error["message"].endswith(".")
        assert headers["content-security-policy"].startswith("default-src 'none'")
    assert get(server, "/v1/audio/transcriptions", "POST", b"{}", "application/json")[0] == 415
    assert "Traceback" not in server.said


def form(fields):
    """A multipart body; bytes are files."""
    lines = []
    for name, value in fields.items():
        if value is not None:
            file = '; filename="a.wav"' if isinstance(value, bytes) else ""
            data = value if isinstance(value, bytes) else value.encode()
            lines += [b"--xyz", f'Content-Disposition: form-data; name="{name}"{file}'.encode(), b"", data]
    return b"\r\n".join([*lines, b"--xyz--", b""]), "multipart/form-data; boundary=xyz"


def test_subtitles_of_words(server):
    asked = {"text": "ten of clubs", "words": [{"word": "ten", "start": 0, "end": 0.4}], "format": "srt"}
    status, _, body = get(server, "/v1/subtitles", "POST", json.dumps(asked), "application/json")
    assert (status, body.decode()) == (200, "1\n00:00:00,000 --> 00:00:00,400\nten\n")
    asked["words"][0]["end"] = "soon"
    status, _, body = get(server, "/v1/subtitles", "POST", json.dumps(asked), "application/json")
    assert (status, json.loads(body)["error"]["param"]) == (422, "words.0.end")


def test_the_examples_of_clients_print_the_text(server, said, monkeypatch, capsys):
    addresses = {"openai_client.py": [f"{server.url}/v1"], "realtime_client.py": [server.socket_url, "--speed", "20"]}
    for name, (url, *more) in addresses.items():
        monkeypatch.setattr("sys.argv", [name, str(CARDS), "--url", url, *more])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        assert capsys.readouterr().out == f"{said[CARDS.name]}\n"


def test_the_tests_have_what_the_extra_asks_for():
    extras = tomllib.loads((EXAMPLES.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras["serve"]) <= set(extras["test"])
