"""Data sets drawn from known truths and fitted, and how often models and priors are right."""
