"""What clients read: progress, results, jobs and leaderboards. Nothing here writes."""
