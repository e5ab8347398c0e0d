"""What is true of messages, budgets, rosters and escalations without a database or a clock."""
