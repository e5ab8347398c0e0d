"""Figures and ratios for what the product promises about speed; one file a promise."""
