"""Training of bharsdk models: data, models, losses, trainer and evaluation."""
