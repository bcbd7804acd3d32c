"""The step form of causal models: one frame in, one frame out, the state passed along.

Imports graph and litert.
"""
