"""Does the model fit: replicates of the evidence, and each study predicted by the others."""
