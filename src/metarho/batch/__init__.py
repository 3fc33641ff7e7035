"""Analyses: planned as cells, fitted through ``fitting``, written as tables and a report."""
