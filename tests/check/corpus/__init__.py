"""Right derivations and planted mistakes on which the mistake finder is judged."""
