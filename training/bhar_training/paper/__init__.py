"""The results table: recipes, runs, figures, costs, and how they compare with the papers.

Imports training, evaluation, data and models. The cli uses it.
"""
