"""Priors, models and hypotheses compared: functions from fits to tables."""
