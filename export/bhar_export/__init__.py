"""Export of bharsdk checkpoints: deploy graph, quantisation, verification, bundles."""
