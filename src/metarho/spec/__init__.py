"""What users write, as frozen values: models, analyses, priors, formulas, filters."""
