"""The training loop and all it is made of: stages, distillation, devices, and the folder of a run.

Imports evaluation, data and models. Paper and cli use it.
"""
