"""Work pages of oversight (督查)."""
