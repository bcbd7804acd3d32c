"""A run: its threads, the queues between them, the count of frames, and its state.

Imports recognition, cameras and landmarkers. Recordings, sources and the recognizer use it.
"""
