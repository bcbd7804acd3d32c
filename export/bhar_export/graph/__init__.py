"""From a checkpoint to a float32 ONNX graph that is fit to deploy, and what an export asks for.

Imports training's models. Every target uses it.
"""
