"""The STRIKE paper (Liu et al., AAAI 2025): its tables and figures, and ours beside them."""
