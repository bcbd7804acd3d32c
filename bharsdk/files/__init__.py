"""How files are read and written: whole or not at all, within bounds, and never over an input.

Imports the errors alone. Everything that touches a disk uses it.
"""
