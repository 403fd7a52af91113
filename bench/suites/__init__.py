"""The commands of ``python -m bench``: a file each, with ``main(argv) -> int``."""
