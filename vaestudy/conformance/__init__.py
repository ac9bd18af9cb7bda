"""The conformance checks: what every part of a kind must do, one file for each kind."""
