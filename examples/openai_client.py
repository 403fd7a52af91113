"""A recording through the official ``openai`` package and a server of yours, the text as it comes.

    voxtral-kernels serve --model tiny &
    python examples/openai_client.py examples/human-card-5.wav

``pip install openai``. With a key: ``export VOXTRAL_API_KEY=...`` for both.
"""

from __future__ import annotations

import argparse
import os

from openai import OpenAI


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    given = parser.parse_args()
    client = OpenAI(base_url=given.url, api_key=os.environ.get("VOXTRAL_API_KEY", "none"))
    model = client.models.list().data[0].id
    with open(given.recording, "rb") as file:
        for event in client.audio.transcriptions.create(model=model, file=file, stream=True):
            if event.type == "transcript.text.delta":
                print(event.delta, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
