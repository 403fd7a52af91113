"""Metal kernels for the Voxtral speech models in MLX, and the models that run on them."""

from __future__ import annotations

from ._version import __version__ as __version__

TYPE_CHECKING = False  # of typing, which is not imported here: see _HOME
if TYPE_CHECKING:
    from . import emulator
    from .audio import AudioWarning
    from .audio.load import load_audio
    from .backends.select import use_backend
    from .caches import LinearKVCache, RingKVCache, RingSlots
    from .models import load
    from .models.result import Result, Word
    from .models.voxtral import Voxtral
    from .models.voxtral_realtime import Stream, StreamEvent, VoxtralRealtime
    from .models.voxtral_realtime.async_batch import AsyncBatch
    from .models.voxtral_realtime.async_batch_stream import AsyncBatchStream
    from .models.voxtral_realtime.async_stream import AsyncStream
    from .models.voxtral_realtime.batch import Batch, BatchFull, BatchStats
    from .models.voxtral_realtime.batch_stream import BatchStream
    from .ops.ada_rms_norm import ada_rms_norm
    from .ops.causal_conv1d_gelu import causal_conv1d_gelu, conv1d_gelu
    from .ops.explain import explain
    from .ops.sliding_window_attention import sliding_window_attention
    from .patch import Patched, accelerate

__all__ = [
    "AsyncBatch",  # a `Batch` for asyncio
    "AsyncBatchStream",  # one of its streams
    "AsyncStream",  # a live transcription for asyncio
    "AudioWarning",  # audio that was read, but not as its file promises
    "Batch",  # live transcriptions that share each reading of the weights
    "BatchFull",  # every slot of one has its stream
    "BatchStats",  # where one stands
    "BatchStream",  # one of its streams
    "LinearKVCache",  # keys and values of every position
    "Patched",  # what `accelerate` gives: report, undo
    "Result",  # a finished transcription: text, tokens, words
    "RingKVCache",  # keys and values of a window, flat in memory
    "RingSlots",  # those of several streams, attended in one call
    "Stream",  # a live transcription: samples in, text out
    "StreamEvent",  # one decoded token of it
    "Voxtral",  # the offline model: whole recordings, questions
    "VoxtralRealtime",  # the streaming model
    "Word",  # a word and when it was spoken
    "accelerate",  # make another package's model use the kernels
    "ada_rms_norm",  # adaptive RMSNorm, optional residual add
    "causal_conv1d_gelu",  # streaming convolution, bias, exact GELU
    "conv1d_gelu",  # the same with zero padding on both sides
    "emulator",  # Metal kernels run and checked on the CPU
    "explain",  # which backend would serve a call, and why
    "load",  # a model: "tiny", a folder or a hub id
    "load_audio",  # any recording as 16 kHz mono samples
    "sliding_window_attention",  # attention over a window, out of a rotating cache
    "use_backend",  # serve a block by one backend
]

# Where names come from at their first use (an op is the function of its file): the command line answers Ctrl-C before
# anything else is read.
_HOME = {
    "AsyncBatch": ".models.voxtral_realtime.async_batch",
    "AsyncBatchStream": ".models.voxtral_realtime.async_batch_stream",
    "AsyncStream": ".models.voxtral_realtime.async_stream",
    "AudioWarning": ".audio",
    "Batch": ".models.voxtral_realtime.batch",
    "BatchFull": ".models.voxtral_realtime.batch",
    "BatchStats": ".models.voxtral_realtime.batch",
    "BatchStream": ".models.voxtral_realtime.batch_stream",
    "LinearKVCache": ".caches",
    "Patched": ".patch",
    "Result": ".models.result",
    "RingKVCache": ".caches",
    "RingSlots": ".caches",
    "Stream": ".models.voxtral_realtime",
    "StreamEvent": ".models.voxtral_realtime",
    "Voxtral": ".models.voxtral",
    "VoxtralRealtime": ".models.voxtral_realtime",
    "Word": ".models.result",
    "accelerate": ".patch",
    "conv1d_gelu": ".ops.causal_conv1d_gelu",
    "emulator": ".emulator",
    "load": ".models",
    "load_audio": ".audio.load",
    "use_backend": ".backends.select",
}


if not TYPE_CHECKING:  # a checker would take any name for one of the package

    def __getattr__(name: str) -> object:
        import importlib

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = _HOME.get(name, f".ops.{name}")
        module = importlib.import_module(home, __name__)
        value = module if home == f".{name}" else getattr(module, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
