"""Positions that a cache may take back, and hosts."""

import copy

import mlx.core as mx

import voxtral_kernels as vk


def test_undoing_while_positions_are_held_back_leaves_what_follows_as_without(host, noise):
    """An accelerated host never drafts; a cache of ours that it is given may hold positions back all the same."""
    model, layers = host.small(), len(host.new_cache(host.small(), 4096))

    def decoded(cache, start, stop):
        found = host.decode(model, embeds[start:stop], cache)
        mx.eval(found)
        return found

    patched = vk.accelerate(model)
    embeds = host.embed(model, noise)
    plain, drafted = ([vk.RingKVCache(64) for _ in range(layers)] for _ in range(2))
    for cache in (plain, drafted):
        decoded(cache, 0, 4)
    for cache in drafted:
        cache.hold()
    decoded(drafted, 4, 8)
    copies = [copy.copy(cache) for cache in drafted]
    patched.undo()
    for some, wrong in ((drafted, 3), (copies, 4)):
        for cache in some:
            assert cache.pending == 4
            cache.rollback(wrong)
            cache.accept()
    with vk.accelerate(model):
        expected = mx.concatenate([decoded(plain, i, i + 1) for i in range(4, 12)])
        assert mx.abs(decoded(drafted, 5, 12) - expected[1:]).max() <= 1e-4
        assert mx.abs(decoded(copies, 4, 12) - expected).max() <= 1e-4
    for cache, other in zip(drafted, copies, strict=True):
        assert cache.offset == other.offset == 12
        assert not cache.pending
