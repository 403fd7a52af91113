"""Containers and codecs against what was put in; files that are cut, unfinished or no recordings."""

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

import voxtral_kernels as vk
from tests.audio.encode import encode
from voxtral_kernels.audio.load import blocks

ROOT = Path(__file__).resolve().parents[2]
SPEECH = soundfile.read(ROOT / "examples" / "human-card-1.wav", dtype="float32")[0]

# Container, codec, its rate, and how far the loudest sample may be off: speech at the codec's default bit rate.
CODECS = [
    ("matroska", "aac", 16_000, {}),
    ("webm", "libopus", 48_000, {}),
    ("ogg", "libopus", 48_000, {}),
    ("mp4", "aac", 16_000, {}),
    ("mp4", "aac", 44_100, {"options": {"movflags": "+frag_keyframe+empty_moov+default_base_moof"}}),
    ("mp4", "aac", 48_000, {"layout": "7.1"}),
    ("mp4", "aac", 48_000, {"layout": "5.1"}),
    ("mp4", "alac", 16_000, {}),
    ("mpegts", "aac", 16_000, {}),
    ("adts", "aac", 22_050, {}),
    ("flv", "aac", 44_100, {}),
    ("asf", "wmav2", 16_000, {"bit_rate": 32_000}),
    ("avi", "pcm_s16le", 16_000, {}),
    ("ac3", "ac3", 48_000, {}),
    ("mp2", "mp2", 16_000, {}),
    ("wv", "wavpack", 16_000, {}),
    ("tta", "tta", 16_000, {}),
    ("caf", "alac", 16_000, {}),
    ("amr", "libopencore_amrnb", 8_000, {"bit_rate": 12_200}),
]


def similarity(got, expected):
    """The largest correlation at any shift up to 0.1 s: codecs delay, and damp what is not heard."""
    size = 1 << 16
    spectrum = np.fft.rfft(got, size) * np.conj(np.fft.rfft(expected, size))
    shifts = np.fft.irfft(spectrum, size)
    near = np.concatenate([shifts[:1600], shifts[-1600:]])
    return near.max() / (np.linalg.norm(got) * np.linalg.norm(expected))


@pytest.mark.fault("audio: 8 channels apart from each other crashed the decoder's Python side")
@pytest.mark.parametrize(("container", "codec", "rate", "options"), CODECS, ids=lambda v: str(v).translate({32: "-"}))
def test_containers(container, codec, rate, options):
    data = encode(SPEECH, container, codec, rate=rate, **options)
    with blocks(data) as audio:
        samples = np.concatenate(list(audio))
    assert audio.warnings == []
    assert abs(len(samples) - len(SPEECH)) < 0.15 * 16_000  # padding before and after
    assert similarity(samples, SPEECH) > (0.5 if codec == "libopencore_amrnb" else 0.9)  # AMR keeps no phases


WAVS = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM")
OTHERS = ("AIFF", "AU", "CAF", "W64", "RF64", "FLAC", "NIST", "WAVEX", "VOC", "IRCAM", "SVX", "PVF")


@pytest.mark.parametrize(("form", "subtype"), [*(("WAV", s) for s in WAVS), *((f, "PCM_16") for f in OTHERS)])
def test_the_same_samples_as_libsndfile(form, subtype):
    file = io.BytesIO()
    soundfile.write(file, SPEECH, 16_000, format=form, subtype=subtype)
    expected = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32")[0]
    got = vk.load_audio(file.getvalue())
    # Both pad ADPCM's last block, each in its way.
    n = min(len(got), len(expected)) if "ADPCM" in subtype else len(expected)
    assert abs(len(got) - len(expected)) < 2048 if "ADPCM" in subtype else len(got) == len(expected)
    np.testing.assert_allclose(got[:n], expected[:n], rtol=0, atol=2**-15 if "ADPCM" in subtype else 2**-24)


def with_zeros(data, *places):
    """The bytes with zeros at offsets ``(start, length)``."""
    out = bytearray(data)
    for start, length in places:
        out[start : start + length] = bytes(length)
    return bytes(out)


def sizes_of(form):
    """A file of this container, and where its sizes stand."""
    file = io.BytesIO()
    soundfile.write(file, SPEECH, 16_000, format=form, subtype="PCM_16")
    data = file.getvalue()
    at = data.find(b"data")
    return data, {
        "WAV": [(4, 4), (at + 4, 4)],
        "RF64": [(data.find(b"ds64") + 8, 24)],
        "W64": [(16, 8), (at + 16, 8)],
        "CAF": [(at + 4, 8)],
        "AU": [(8, 4)],
        "AIFF": [(4, 4), (data.find(b"COMM") + 10, 4), (data.find(b"SSND") + 4, 4)],
        "FLAC": [(22, 4)],
    }[form]


@pytest.mark.parametrize("form", ["WAV", "RF64", "W64", "CAF", "AU", "AIFF", "FLAC"])
def test_sizes_of_zero_are_read_to_the_end(form):
    data, places = sizes_of(form)
    with blocks(with_zeros(data, *places)) as audio:
        samples = np.concatenate(list(audio))
    assert audio.warnings == []
    np.testing.assert_array_equal(samples, vk.load_audio(data))


@pytest.mark.parametrize("stated", [0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000])
def test_sizes_of_a_writer_to_a_pipe(stated):
    data = bytearray(sizes_of("WAV")[0])
    data[4:8] = data[40:44] = struct.pack("<I", stated)
    with blocks(bytes(data)) as audio:
        assert sum(map(len, audio)) == len(SPEECH)
    assert audio.warnings == []


CUT = [
    *(("sndfile", form, subtype) for form, subtype in [("WAV", "PCM_16"), ("WAV", "IMA_ADPCM"), ("RF64", "PCM_16")]),
    *(("sndfile", form, "PCM_16") for form in ("AIFF", "AU", "CAF", "W64", "FLAC")),
    *(("sndfile", form, subtype) for form, subtype in [("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")]),
    *(("av", c, codec) for c, codec in [("matroska", "aac"), ("mp4", "aac"), ("adts", "aac"), ("asf", "wmav2")]),
    *(("av", c, codec) for c, codec in [("tta", "tta"), ("avi", "pcm_s16le"), ("flv", "aac")]),
]


@pytest.mark.parametrize(("writer", "form", "codec"), CUT)
def test_a_cut_file_gives_what_there_is_and_one_warning(writer, form, codec):
    speech = np.tile(SPEECH, 3)
    if writer == "sndfile":
        file = io.BytesIO()
        soundfile.write(file, speech, 16_000, format=form, subtype=codec)
        data = file.getvalue()
    else:
        options = {"options": {"movflags": "+faststart"}} if form == "mp4" else {}
        rate = 44_100 if form == "flv" else 16_000
        data = encode(speech, form, codec, rate=rate, bit_rate=32_000, **options)
    with blocks(data) as audio:
        whole = sum(map(len, audio))
    assert (audio.complete, audio.warnings) == (True, [])
    with blocks(data[: len(data) * 2 // 3]) as audio:
        part = sum(map(len, audio))
    assert not audio.complete
    assert len(audio.warnings) == 1
    end = re.search(r" ends at (\d+\.\d\d) s", audio.warnings[0])
    assert abs(float(end[1]) - part / 16_000) < 0.02
    assert (0.2 if form == "OGG" else 0.5) * whole < part < 0.75 * whole


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n" * 3, "whose format is not recognised"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n" * 3, "whose format is not recognised"),
        (b"\x1b]0;title\x07" * 200, "whose format is not recognised"),
        (encode(SPEECH, "mp4", "aac")[:4000], "whose index is missing: its recording was cut off or never finished"),
    ],
    ids=["playlist", "list-of-files", "escapes", "mp4-without-index"],
)
def test_what_is_no_recording(data, reason):
    with pytest.raises(
        ValueError, match=rf"^\[load_audio\] audio: expected an audio file .*, got \d+ bytes, {reason}\.$"
    ):
        blocks(data)


def test_a_video_without_sound():
    """A film of one black picture."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = out.add_stream("mpeg4", rate=1)
        stream.width = stream.height = 16
        out.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        out.mux(stream.encode(None))
    with pytest.raises(ValueError, match=r"expected a file with sound, got \d+ bytes, which has none\."):
        blocks(file.getvalue())


def test_metadata_reaches_nobody(capfd):
    """Control characters in a title: neither in warnings, nor in errors, nor on the standard streams."""
    evil = "\x1b]0;owned\x07\x1b[2Jname"
    data = encode(np.tile(SPEECH, 2), "mp4", "aac", options={"movflags": "+faststart"}, metadata={"title": evil})
    assert evil.encode() in data
    with blocks(data[: len(data) * 2 // 3]) as audio:
        for _ in audio:
            pass
    assert len(audio.warnings) == 1
    assert audio.warnings[0].isprintable()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("rate", [16_000, 8_000])
def test_one_ogg_file_after_another(rate):
    """Both are heard; at another rate, which FFmpeg does not take, the first one and a warning."""
    first, second = io.BytesIO(), io.BytesIO()
    soundfile.write(first, SPEECH, 16_000, format="OGG", subtype="VORBIS")
    soundfile.write(second, SPEECH[:: 16_000 // rate], rate, format="OGG", subtype="VORBIS")
    with blocks(first.getvalue() + second.getvalue()) as audio:
        count = sum(map(len, audio))
    assert count / len(SPEECH) == pytest.approx(2 if rate == 16_000 else 1, abs=0.05)
    assert audio.complete is (rate == 16_000)
    assert len(audio.warnings) == (rate != 16_000)


def test_mp3_files_one_after_another():
    """At rates of their own."""
    parts = []
    for rate in (16_000, 8_000):
        file = io.BytesIO()
        soundfile.write(file, SPEECH[:: 16_000 // rate], rate, format="MP3", subtype="MPEG_LAYER_III")
        parts.append(file.getvalue())
    with blocks(b"".join(parts)) as audio:
        assert sum(map(len, audio)) / len(SPEECH) == pytest.approx(2, abs=0.3)  # and padding
