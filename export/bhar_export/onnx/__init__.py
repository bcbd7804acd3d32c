"""Target ``onnx``: explicit Q/DQ for ONNX Runtime, and the smallest file that holds it.

Imports graph and quantization. ``tensorrt`` shares its quantizer.
"""
