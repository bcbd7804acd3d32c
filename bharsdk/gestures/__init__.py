"""Gestures of one's own from a few clips: checked, varied, fitted, stored beside a model.

Imports recognition, engines, bundle and sources. The recognizer and export use it.
"""
