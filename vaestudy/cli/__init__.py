"""The command line: it validates the arguments, starts the work and prints the results."""
