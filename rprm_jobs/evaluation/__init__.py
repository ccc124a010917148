"""How good a judge is: pure functions from rewards and labels to the numbers that the benchmarks publish."""
