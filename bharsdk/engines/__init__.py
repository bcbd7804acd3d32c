"""What runs a model: native kernels, ONNX Runtime, LiteRT, TensorRT; and choosing one by measuring.

Imports bundle, kernels and files. Gestures, the recognizer and export use it.
"""
