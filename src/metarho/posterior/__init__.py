"""From an engine's result to a fit: marginals, summaries, draws, the DataTree."""
