"""Recordings -> labelled landmark clips -> augmented feature batches."""
