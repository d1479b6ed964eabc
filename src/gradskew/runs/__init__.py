"""Many runs: grids, sweeps, and the records that they leave."""
