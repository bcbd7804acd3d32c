"""What every public value shares: type checks, one-line ``repr``, and text that is safe to print.

Imports nothing of bharsdk but the errors. Every other package uses it.
"""
