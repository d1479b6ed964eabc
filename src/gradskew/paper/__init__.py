"""Reproduce the tables and figures of the STRIKE paper (Liu et al., AAAI 2025)."""
