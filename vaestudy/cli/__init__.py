"""The command line: words to validated input, input to work, results to the terminal."""
