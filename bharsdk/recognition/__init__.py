"""Landmarks in, events out: window, features, decoder, stream, results, and their drawing.

Imports bundle, landmarks and kernels. The pipeline, gestures and the recognizer use it.
"""
