"""One module a target: float32 graph and calibration clips in, files of the bundle out."""
