"""Export of bharsdk checkpoints: deploy graph, quantization, verification, bundles."""
