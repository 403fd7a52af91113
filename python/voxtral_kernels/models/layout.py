"""What a family of checkpoints calls its files and tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .section import Section

# What the original layout calls the parts of a layer.
MISTRAL_PARTS = {
    "attention.q_proj": "attention.wq",
    "attention.k_proj": "attention.wk",
    "attention.v_proj": "attention.wv",
    "attention.o_proj": "attention.wo",
    "attn_norm": "attention_norm",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
}
LAST_NORM = "language_model.norm.weight"


@dataclass(frozen=True)
class Layout:
    """How one family of checkpoints is stored.

    Attributes:
        name: For messages.
        config_file, weights_file: Names in the folder.
        read_config: Config file to the model's configuration.
        prefixes: Beginnings of names: ours, theirs, and the parts renamed behind it; the first that fits is taken.
        ignored: Tensors that may be there without use.
        torch_conv: Conv weights are ``[out, in, kernel]``; None: their shape tells.
        rotate_half: Beginnings of our names whose q and k rows are ordered for the rotate-half form of RoPE.
        others: The same with other names, for files whose tensors are named so.
    """

    name: str
    config_file: str
    weights_file: str
    read_config: Callable[[Section], Any]
    prefixes: tuple[tuple[str, str, dict[str, str]], ...]
    ignored: tuple[str, ...] = ()
    torch_conv: bool | None = False
    rotate_half: tuple[str, ...] = ()
    others: tuple[Layout, ...] = ()

    def source(self, name: str) -> str:
        """This layout's name of a tensor."""
        for ours, theirs, parts in self.prefixes:
            if name.startswith(ours):
                rest = name.removeprefix(ours)
                for old, new in parts.items():
                    rest = rest.replace(old, new)
                return theirs + rest
        raise AssertionError(f"no prefix for {name}")

    def named(self, names: Iterable[str]) -> Layout:
        """The layout itself, or the one of ``others`` whose names these are."""
        return next((o for o in self.others if o.source(LAST_NORM) in names), self)
