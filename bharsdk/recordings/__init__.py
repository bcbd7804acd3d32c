"""Recorded landmarks: sessions in memory and on disk, written as they grow, read and replayed.

Imports landmarks, files and, to replay, the pipeline. Sources, gestures and training use it.
"""
