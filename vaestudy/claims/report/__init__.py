"""The report on the claims: its contents, its figures, and these as a web page, as Markdown and as the README's table.

The report is a pure function of the evidence: the same runs give the same bytes.
"""
