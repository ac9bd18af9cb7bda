"""What was run: cells of studies that are needed, their tidy runs, and estimates from them over seeds."""
