"""Evidence: tables in, audited studies and encoded moderators out."""
