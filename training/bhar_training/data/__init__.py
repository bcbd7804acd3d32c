"""Recordings -> labeled landmark clips -> augmented feature batches."""
