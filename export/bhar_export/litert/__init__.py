"""Target ``tflite``: operators that LiteRT converts rightly, INT8, and the smallest flatbuffer.

Imports graph and quantization. ``step`` shares its converter.
"""
