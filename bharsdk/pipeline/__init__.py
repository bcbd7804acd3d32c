"""A source being recognized: threads, queues that give way, counts, states, and the run itself.

Imports recognition, cameras and landmarkers. Recordings, sources and the recognizer use it.
"""
