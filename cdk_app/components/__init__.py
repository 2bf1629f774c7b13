"""Components: one capability each, without a literal that a deployment might change."""
