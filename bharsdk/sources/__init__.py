"""From what a user names to frames: opens cameras, videos, folders, sessions and iterables.

Imports cameras, landmarkers, recordings and the pipeline. Gestures and the recognizer use it.
"""
