"""Figures: what counting costs, measured on real processes with the full rules of `sites` (`make bench`)."""
