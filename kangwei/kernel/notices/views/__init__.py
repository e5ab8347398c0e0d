"""Pages of notices (通知)."""
