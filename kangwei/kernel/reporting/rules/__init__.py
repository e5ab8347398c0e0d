"""What is true of reports and documents without a database: declarations, sums, comparison, blocks."""
