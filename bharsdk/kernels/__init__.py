"""The compiled kernels: finding the library, and Python functions that check their arguments.

Imports the errors and the compiled library. Features, engines and training use it.
"""
