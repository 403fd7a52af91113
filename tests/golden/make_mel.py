"""Writes mel.npz: log-mel values of transformers' feature extractors for one recording.

pip install -e '.[golden]' && python tests/golden/make_mel.py
"""

from pathlib import Path

import numpy as np
import soundfile
from transformers import VoxtralRealtimeFeatureExtractor, WhisperFeatureExtractor

ROOT = Path(__file__).parents[2]


def main() -> None:
    samples = soundfile.read(ROOT / "examples" / "human-card-1.wav", dtype="float32")[0]
    realtime = VoxtralRealtimeFeatureExtractor()(samples, sampling_rate=16_000, return_tensors="np").input_features[0].T
    whisper = (
        WhisperFeatureExtractor(feature_size=128)(samples, sampling_rate=16_000, return_tensors="np", padding="longest")
        .input_features[0]
        .T
    )
    # Both ends, where the clip is mirrored, and every fifth frame between them.
    rows = np.unique([0, 1, *range(2, len(realtime), 5), len(realtime) - 2, len(realtime) - 1])
    np.savez_compressed(
        Path(__file__).parent / "mel.npz",
        rows=rows,
        realtime=realtime[rows],
        realtime_frames=len(realtime),
        whisper=whisper[rows],
        whisper_frames=len(whisper),
    )


if __name__ == "__main__":
    main()
