"""Figures: each one function from fits to a drawing and the data it shows."""
