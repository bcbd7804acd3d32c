"""What surrounds our code in its process: things to close in time, and libraries to keep silent.

Imports nothing of bharsdk. Cameras, landmarkers, the pipeline and some engines use it.
"""
