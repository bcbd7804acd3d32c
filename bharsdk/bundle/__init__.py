"""A trained model as one file: manifest, stored zip, hashes, temperature, and what it configures.

Imports landmarks, files and values. Engines, recognition, gestures, training and export use it.
"""
