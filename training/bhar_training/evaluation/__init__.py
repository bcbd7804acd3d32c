"""What a trained model is worth: accuracy, calibration, false events, and pictures of them.

Imports data, models and checkpoint. Training (to validate), paper and cli use it.
"""
