"""What a terminal sees of long work: progress bars, and libraries kept silent.

Imports nothing of training. All of it uses this.
"""
