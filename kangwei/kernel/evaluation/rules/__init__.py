"""Rules of trial calculation: reading case files, answering cases. No Django, no clock."""
