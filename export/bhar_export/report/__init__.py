"""What was measured of an export: the proof in the bundle, its card, and a picture.

Imports graph and quantization. The pipeline and cli use it.
"""
