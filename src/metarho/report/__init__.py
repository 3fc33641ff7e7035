"""Figures, the HTML report and the terminal."""
