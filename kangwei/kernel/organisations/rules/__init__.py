"""Plain rules of organisations: numbers, passwords, one-time codes, lock-out. No Django here."""
