"""The public ops. Each file: docstring, checks, backend choice, launch; `explain` says what would serve a call."""
