"""Article A, one module per group of formulas."""
