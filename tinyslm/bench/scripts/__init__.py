"""Whole programs that the benchmark runs as processes of their own. None imports more than its contender needs."""
