"""Target ``jetson``: the graph from which TensorRT builds its engine on the device.

Imports graph and onnx.
"""
