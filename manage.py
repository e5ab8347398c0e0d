#!/usr/bin/env python3
"""Django's command line for Kangwei (康维)."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kangwei.web.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # One sentence naming the variable; the supervisor knows the exit code (EX_CONFIG).
        print(error, file=sys.stderr)
        sys.exit(os.EX_CONFIG)
