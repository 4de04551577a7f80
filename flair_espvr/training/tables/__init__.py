"""Tables of results: which runs fill them, how sure their differences are, how they are written."""
