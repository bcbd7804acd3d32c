"""What INT8 is decided by: calibration clips, ranges, accuracy and latency of each exported model.

Imports graph. The targets, the report and the pipeline use it.
"""
