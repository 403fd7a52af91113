"""Ranks in one process: each is a thread, and what goes between them is handed over in memory."""

import json
import shutil
import threading

import mlx.core as mx
import numpy as np

from voxtral_kernels.models import hub
from voxtral_kernels.models.ranks import Ranks, Watch
from voxtral_kernels.models.section import Section
from voxtral_kernels.models.voxtral_realtime.config import from_mistral
from voxtral_kernels.models.voxtral_realtime.weights import tensor_shapes


class Board:
    """Where the ranks lay down what the others take."""

    def __init__(self, size):
        self.slots, self.barrier = [None] * size, threading.Barrier(size, timeout=60)


class InThreads(Ranks):
    """One rank of several threads."""

    def __init__(self, rank, board):
        self.rank, self.size, self.board = rank, len(board.slots), board
        self.watch, self.read, self.shares = Watch(f"rank {rank}", 60), 0, []

    def exchange(self, value):
        """Every rank's value."""
        self.board.slots[self.rank] = value
        self.board.barrier.wait()
        found = list(self.board.slots)
        self.board.barrier.wait()
        return found

    def sum(self, x):
        parts = self.exchange(np.array(x))
        return mx.array(sum(parts[1:], parts[0]))

    def gather(self, x, *, token=True):
        return mx.array(np.stack(self.exchange(np.array(x))))

    def words(self, text):
        return self.exchange(text)


def on_ranks(size, work):
    """What ``work`` of each rank gives; an error is given in place of a result."""
    board, found = Board(size), [None] * size

    def run(rank):
        try:
            found[rank] = work(InThreads(rank, board))
        except Exception as error:
            found[rank] = error
            if not isinstance(error, ValueError):
                board.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in found:
        if isinstance(error, Exception) and not isinstance(error, ValueError):
            raise error
    return found


def write_model(folder, *, heads=4, hidden=128, dim=128):
    """A random realtime model; its closing projections have biases, its vocabulary divides by 2 only."""
    part = {"dim": dim, "n_layers": 1, "n_heads": heads, "head_dim": 32, "hidden_dim": hidden, "causal": True}
    part |= {"rope_theta": 1e6, "norm_eps": 1e-5}
    audio = {"num_mel_bins": 128, "hop_length": 160, "window_size": 400, "sampling_rate": 16000}
    encoder = part | {"sliding_window": 750, "audio_encoding_args": audio}
    whisper = {"encoder_args": encoder, "downsample_args": {"downsample_factor": 4}}
    decoder = part | {"n_layers": 2, "n_kv_heads": 2 if heads == 4 else 1, "sliding_window": 1024}
    params = decoder | {"vocab_size": 1482, "ada_rms_norm_t_cond": True}
    params |= {"multimodal": {"whisper_model_args": whisper}}
    (folder / "config.json").write_text(json.dumps(params))
    shutil.copy(hub.find("tiny") / "tekken.json", folder)
    mx.random.seed(0)
    shapes = tensor_shapes(from_mistral(Section(params, "config.json")))
    # The audio decides, not the token before, or the tokens would soon be all alike.
    wide = {"adapter.w_out.weight": 8.0}
    tensors = {n: mx.random.normal(s) * s[-1] ** -0.5 * wide.get(n, 1.0) for n, s in shapes.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), tensors)


# Of the goldens' 96 ids: special ones, with those of either family's prompt, and one-byte texts.
_SPECIAL, _IDS = 40, 96
_CHUNK_S = 0.8  # 40 positions of the offline goldens' encoder


def copy_golden(source, folder):
    """A golden's random model with a tokenizer, so that it transcribes: its text is noise."""
    shutil.copytree(source, folder)
    tekken = json.loads((hub.find("tiny") / "tekken.json").read_text())
    tekken["special_tokens"] = tekken["special_tokens"][:_SPECIAL]
    tekken["vocab"] = tekken["vocab"][: _IDS - _SPECIAL]
    tekken["config"] |= {
        "num_vocab_tokens": _IDS - _SPECIAL,
        "default_vocab_size": _IDS,
        "default_num_special_tokens": _SPECIAL,
    }
    tekken["audio"]["audio_encoding_config"]["num_mel_bins"] = 16
    if "voxtral_realtime" not in source.parts:
        kept = ("sampling_rate", "frame_rate", "audio_encoding_config")
        tekken["audio"] = {key: tekken["audio"][key] for key in kept} | {"chunk_length_s": _CHUNK_S}
    (folder / "tekken.json").write_text(json.dumps(tekken))
    return folder
