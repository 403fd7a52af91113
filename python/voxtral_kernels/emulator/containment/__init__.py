"""What keeps a hostile text from the machine: words and includes that are refused, and processes with limits.

``words`` and ``includes`` look at the text, ``process`` runs the compiler, ``confine`` is what a process does to itself
before it touches anything of the text; it is a script of its own, so it imports nothing of this package.
"""
