"""A server over one `AsyncBatch`: OpenAI's form for files, vLLM's realtime messages for live audio, a page.

``limits`` says how much of anything there may be; ``access`` who may ask; ``gate`` stands before every request and
connection; ``transcriptions`` and ``realtime`` are the two ways in, ``hearing`` is what they share; ``metrics`` counts;
``app`` puts them together, ``server`` runs it and ends it in order. Optional extra: ``voxtral-kernels[serve]``.
"""
