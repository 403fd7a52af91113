"""Recordings in containers that libsndfile does not write, for the tests: by PyAV."""

import fractions
import tempfile
from pathlib import Path

import av
import numpy as np


def encode(samples, container, codec, *, rate=16_000, layout="mono", bit_rate=None, options=None, metadata=None):
    """The bytes of a file.

    Args:
        samples: Float ``[T]`` at 16 kHz, for every channel of the layout.
        container, codec: FFmpeg's names.
        rate: Hz of the file.
        layout: Its channels.
        bit_rate: For codecs that have no default.
        options: Of the container.
        metadata: Of the container.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")  # with its index in front, an MP4 is written twice
        _write(path, samples, container, codec, rate, layout, bit_rate, options or {}, metadata or {})
        return path.read_bytes()


def _write(path, samples, container, codec, rate, layout, bit_rate, options, metadata):
    with av.open(str(path), "w", format=container, options=options) as out:
        out.metadata.update(metadata)
        stream = out.add_stream(codec, rate=rate, layout=layout)
        if bit_rate:
            stream.bit_rate = bit_rate
        context = stream.codec_context
        context.open()
        channels = context.layout.nb_channels
        interleaved = np.repeat(samples.astype(np.float32), channels)[None]
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, fractions.Fraction(1, 16_000)
        size = context.frame_size if context.frame_size > 1 else 1024
        resampler = av.AudioResampler(format=context.format, layout=layout, rate=rate, frame_size=size)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
