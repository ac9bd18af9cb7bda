"""The article's claims C1 to C14: what each needs, its criterion, and its verdict, computed from tidy runs."""
