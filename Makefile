# Every command is run.py's; this file only spares typing. Without make: python3 run.py NAME.
PYTHON ?= python3

.PHONY: run install test check prove bench journey demo-reset backup restore assets lock
run install test check prove bench journey demo-reset backup restore assets lock:
	@exec $(PYTHON) run.py $@ $(ARGS)
.DEFAULT_GOAL := run
