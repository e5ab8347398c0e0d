"""What is true of reports and documents without a database."""
