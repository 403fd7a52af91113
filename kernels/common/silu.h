// silu(g) = g / (1 + exp(-g)) in float32.
#pragma once

// precise: a fast exp loses bits where the gate is large.
METAL_FUNC float silu(float g) { return g / (1.0f + precise::exp(-g)); }
