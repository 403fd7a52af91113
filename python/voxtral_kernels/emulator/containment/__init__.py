"""What keeps a hostile text from the machine; the words that it may not use stand in ``frontend.escapes``.

``includes`` looks at the files that a text names, ``process`` runs the compiler with limits, ``deadline`` limits what
Python itself does. ``confine`` is what a process does to itself before it touches anything of the text, ``child`` a
launch in such a process: both are scripts that import nothing of this package.
"""
