"""Compare accuracy with cost: the true multiply-adds of the words models."""

from __future__ import annotations

from bhar_training.data.batches import input_specs
from bhar_training.evaluation.plots import CostPoint
from bhar_training.models import build_model
from bhar_training.paper.describe import example, true_gmacs
from bhar_training.paper.experiment import Recipe, Score
from bhar_training.paper.recipes import RECIPES
from bhar_training.paper.results import Results

__all__ = ["cost_points", "gmacs_of"]

CLASSES = 16
"""Of the words; the classifier's part of the cost is too small to see."""


def cost_points(results: Results) -> list[CostPoint]:
    """Return a point for every recorded score that the picture shows."""
    points = []
    for recipe in RECIPES.values():
        for score in recipe.scores:
            figure = results.figure(recipe.name, score.name)
            if not score.plot or figure is None:
                continue
            top1 = figure.mean.top1
            low, high = (figure.spread.min, figure.spread.max) if figure.spread else (top1, top1)
            points.append(CostPoint(score.plot, gmacs_of(recipe, score), top1, low, high))
    return points


def gmacs_of(recipe: Recipe, score: Score) -> float:
    """Return the true multiply-adds of one clip, 10^9: all members, each on its own features."""
    total = 0.0
    for member in recipe.members:
        if member.name in score.members:
            features = member.config.features
            model = build_model(member.config.model, input_specs(features), CLASSES)
            total += true_gmacs(model, example(features))
    return total
