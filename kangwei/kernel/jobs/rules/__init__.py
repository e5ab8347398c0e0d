"""Rules of background work: dates and cron lines, without Django, clock or query."""
