"""Hypothesis: no deadlines (machines differ), the same examples in every run (a red test stays red)."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "stable", max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("stable")
