"""Recipes: the whole way from a file to a trained model with its scores, one per system the articles name."""
