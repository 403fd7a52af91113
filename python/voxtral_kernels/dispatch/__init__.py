"""From a request to a launch, per op: shape -> variant -> template, grid, threadgroup.

Each module has ``unsupported(request)``, ``variant(request)`` and ``launch(request, factory, stream)``; the factory is
`mx.fast.metal_kernel` or the emulator's, so that both run the very same dispatch.
"""
