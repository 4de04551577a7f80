"""What the package costs, as ratios within one process: one script for each claim of docs/PERFORMANCE.md."""
