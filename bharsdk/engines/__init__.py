"""The backends native, onnx, tflite and tensorrt, and the choice of one by measurement.

Imports bundle, kernels and files. Gestures, the recognizer and export use it.
"""
