"""Frames of a recording in any container that FFmpeg reads; what could not be read is said once, at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._check import fail
from .samples import check_rate, check_values
from .source import OP, Source

DECODABLE = "an audio file (WAV, FLAC, OGG, MP3, M4A, MP4, WebM, ...)"
# Containers of sound. Not among them, though FFmpeg would open them: playlists, which name other files, and text.
FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,avr,caf,dsf,dss,dts,dtshd,eac3,flac,flv,gsm,iff,ircam,live_flv,loas,"
    "matroska,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,paf,pvf,qcp,qoa,rm,shn,sox,tak,truehd,tta,voc,"
    "w64,wav,webm,wtv,wv,xwma"
)
# What their first bytes tell all of: from a pipe FFmpeg would wait for a second of sound to make sure.
PLAIN = (b"RIFF", b"RF64", b"fLaC", b".snd")
# Those whose header states the length; FFmpeg estimates that of the others, by their first bytes.
STATED = {"aiff", "ape", "au", "flac", "flv", "mov", "matroska", "mp3", "mpc8", "nistsphere", "rm", "tak", "tta", "wv"}
# Containers and encoders round the length by as much.
TOLERANCE_S = 0.2
# Frames converted at once.
BATCH_S = 0.25
FORMS = {base + planar for base in ("u8", "s16", "s32", "flt", "dbl") for planar in ("", "p")}
FULL_SCALE = {"s16": 32768.0, "s32": 2147483648.0}


class Decoder:
    """An open recording.

    Args:
        source: Its bytes.
        argument: The name that errors call it by.
        tell: Called with what a user should know, a sentence without its subject.

    Attributes:
        duration_s: The length that it states; None if it states none.
        complete: False once its end turned out to be missing or a part of it unreadable.

    Raises:
        ValueError: it is no recording, or holds no sound.
    """

    def __init__(self, source: Source, argument: str, tell: Callable[[str], None]) -> None:
        self._source, self._argument, self._tell = source, argument, tell
        if not source.head:
            raise fail(OP, argument, DECODABLE, f"{source.title}, which is empty")
        self._container = self._open()
        try:
            self._stream = self._best()
            self._stream.codec_context.thread_count = 1  # the cores are the model's
            self._rate = check_rate(OP, argument, self._stream.codec_context.sample_rate, source.title)
        except BaseException:
            self.close()
            raise
        self.duration_s = self._duration()
        self.complete = True
        self._decoded = 0.0  # seconds
        self._last: Any = None  # the newest frame
        self._damage: list[float] = []
        self._torn = False  # the newest packet has no end

    def close(self) -> None:
        """Frees the decoder."""
        self._container.close()

    def frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Rate in Hz and float32 ``[T, C]``, about a quarter of a second at a time.

        Raises:
            ValueError: nothing can be decoded, or a sample is NaN, infinite or far beyond 1.
        """
        batch: list[Any] = []
        kind: Any = None
        count = seen = 0
        for frame in self._decode():
            now = (frame.format.name, frame.sample_rate, frame.layout.nb_channels)
            if batch and (now != kind or count >= BATCH_S * frame.sample_rate):
                yield self._converted(batch, kind, seen)
                batch, seen, count = [], seen + count, 0
            kind = now
            batch.append(frame.to_ndarray())
            count += frame.samples
        if batch:
            yield self._converted(batch, kind, seen)
        self._finish()

    def _open(self) -> Any:
        import av

        options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
        if self._source.size is None and self._source.head[:4] in PLAIN:
            options |= {"probesize": "4096", "analyzeduration": "0"}
        try:
            container = av.open(self._source, options=options)
            self._check_reading()
            return container
        except (av.FFmpegError, UnicodeError) as error:
            self._check_reading()
            raise fail(OP, self._argument, DECODABLE, f"{self._source.title}, {self._reason(error)}") from None

    def _best(self) -> Any:
        sound = self._container.streams.audio
        known = [stream for stream in sound if stream.codec_context is not None]
        if not known:
            lack = "whose sound is in a codec that FFmpeg does not know" if sound else "which has none"
            raise fail(OP, self._argument, "a file with sound", f"{self._source.title}, {lack}")
        best = self._container.streams.best("audio")
        return best if best in known else known[0]

    def _reason(self, error: Exception) -> str:
        import av

        if self._source.head[4:8] == b"ftyp" and isinstance(error, av.InvalidDataError):
            return "whose index is missing: its recording was cut off or never finished"
        if isinstance(error, (av.InvalidDataError, av.ArgumentError)):
            return "whose format is not recognised"
        return f"which FFmpeg cannot read ({getattr(error, 'strerror', None) or type(error).__name__})"

    def _duration(self) -> float | None:
        stream, container = self._stream, self._container
        if self._source.size is None:
            return self._source.promised_s
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        if text := stream.metadata.get("DURATION"):  # Matroska: hours:minutes:seconds
            try:
                hours, minutes, seconds = (float(part) for part in text.split(":"))
                return 3600 * hours + 60 * minutes + seconds
            except ValueError:
                pass
        return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None

    def _decode(self) -> Iterator[Any]:
        import av

        packets, packed = self._container.demux(self._stream), _Packed()
        while True:
            packet = None
            try:
                packet = next(packets)
                frames = [part for frame in packet.decode() for part in packed(frame)]
            except (StopIteration, EOFError):
                return
            except av.FFmpegError:
                self._damage.append(self._decoded)
                if packet is None:
                    return
                continue
            if packet.size:  # the last one is empty and asks the decoder for its rest
                self._torn = packet.is_corrupt
            for frame in frames:
                if frame.samples and frame.sample_rate:
                    self._decoded += frame.samples / frame.sample_rate
                    self._last = frame
                    yield frame

    def _converted(self, batch: list[np.ndarray], kind: tuple[str, int, int], seen: int) -> tuple[float, np.ndarray]:
        form, rate, channels = kind
        check_rate(OP, self._argument, rate, self._source.title)
        data = np.concatenate(batch, axis=1)
        data = data.T if form.endswith("p") else data.reshape(-1, channels)
        base = form.removesuffix("p")
        if base == "u8":
            return rate, (data.astype(np.float32) - 128) / 128
        with np.errstate(over="ignore"):
            data = np.ascontiguousarray(data, np.float32)
        if base in FULL_SCALE:
            return rate, data / np.float32(FULL_SCALE[base])
        check_values(data, OP, self._argument, name=self._source.title, start=seen)
        return rate, data

    def _finish(self) -> None:
        """Says what is missing, in one sentence."""
        end, failure = f"{self._decoded:.2f} s", self._source.failure
        if failure is not None and not isinstance(failure, OSError):
            raise failure
        if self._decoded == 0:
            problem = "which holds none" if not self._damage else "of which nothing can be decoded"
            raise fail(OP, self._argument, "at least one sample", f"{self._source.title}, {problem}")
        promised = self._promised()
        if failure is not None:
            said = f"cannot be read beyond {end} ({failure.strerror or type(failure).__name__})"
        elif promised is not None and promised > self._reached() + TOLERANCE_S:
            said = f"ends at {end} of {promised:.2f} s: the rest is cut off or damaged"
        elif self._ends_torn():
            said = f"ends at {end} in the middle of its data: the rest is cut off"
        elif self._damage:
            said = f"is damaged at {self._damage[0]:.2f} s: {len(self._damage)} pieces of it are left out"
        else:
            return
        self.complete = False
        self._tell(said)

    def _reached(self) -> float:
        """Seconds decoded, or the last timestamp: a recorder that paused counts the pause."""
        last = self._last
        if last.pts is None or not last.time_base:
            return self._decoded
        start = self._stream.start_time or 0
        return max(self._decoded, float((last.pts - start) * last.time_base) + last.samples / last.sample_rate)

    def _promised(self) -> float | None:
        if self._source.promised_s is not None:
            return self._source.promised_s
        form = self._container.format.name.split(",")[0]
        if form not in STATED or (form == "mp3" and not _has_frame_count(self._source.head)):
            return None
        return self._duration()

    def _ends_torn(self) -> bool:
        """Whether the last packet is incomplete. Where a size is unknown, FFmpeg says that of the last one always."""
        if self._damage and self._damage[-1] == self._decoded:
            return True
        form = self._container.format.name
        return (self._torn and form not in ("wav", "caf")) or (form == "ogg" and self._source.ends_in_a_page())

    def _check_reading(self) -> None:
        """An error of the file object, or Ctrl-C, while FFmpeg was reading."""
        failure = self._source.failure
        if isinstance(failure, OSError):
            reason = failure.strerror or type(failure).__name__
            raise fail(OP, self._argument, "a readable file", f"{self._source.title} ({reason})") from None
        if failure is not None:
            raise failure


class _Packed:
    """Frames that NumPy may look at: those of rare formats, and of many channels apart from each other, are converted.

    From 8 planes on PyAV reads past the end of their list (seen in 18.1): a wrong number of them, or a crash.
    """

    def __init__(self) -> None:
        self._resampler: Any = None
        self._kind: Any = None

    def __call__(self, frame: Any) -> list[Any]:
        form = frame.format
        if form.name in FORMS and not (form.is_planar and frame.layout.nb_channels >= 8):
            return [frame]
        import av

        kind = (form.name, frame.sample_rate, frame.layout.name)
        if kind != self._kind:
            self._resampler, self._kind = av.AudioResampler(format="flt"), kind
        return self._resampler.resample(frame)


def _has_frame_count(head: bytes) -> bool:
    return any(tag in head for tag in (b"Xing", b"Info", b"VBRI"))
