"""What moves on the page: its data from here, its behaviour from ``templates/interactive/``."""
