"""Target ``native``: a deployed model as layers for bharsdk's own kernels, one writer a network.

Imports graph and quantization.
"""
