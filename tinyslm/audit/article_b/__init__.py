"""Article B, one module per group of formulas."""
