"""Rules of oversight (督查): plain Python, no query, no clock."""
