"""Landmarks in, events out: window, features, decoder and stream; results, and drawing them.

Imports bundle, landmarks and kernels. The pipeline, gestures and the recognizer use it.
"""
