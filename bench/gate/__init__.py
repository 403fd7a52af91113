"""``python -m bench compare``: two trees held against each other."""
