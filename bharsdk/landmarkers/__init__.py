"""Pictures in, landmarks out: what finds bodies and hands.

Imports cameras and landmarks. The pipeline and sources use it. MediaPipe is imported when a
landmarker is made.
"""
