# Two commands: `make demo` pretrains a small SAIP, `make test` runs all tests.
# Both install what they need into .venv and can be repeated at any time.
.PHONY: help demo check test lint format
MAKEFLAGS += --no-print-directory
export PYTHON

DEMO := work_dirs/demo
BACKBONE := $(DEMO)/saip_demo_backbone.pth
REPORT := $(DEMO)/report.html
INSTALL := tools/install.sh
PINS := setup.py constraints.txt $(INSTALL)

help:
	@echo 'make demo    pretrain a small SAIP on drawn people, export its backbone,'
	@echo '             and show what it learnt (installs for 3 minutes the first time,'
	@echo '             then runs for minutes)'
	@echo 'make check   style and the tests of the method: about a minute'
	@echo 'make test    run all tests (compiles mmcv ops for 9–13 minutes, once)'
	@echo 'make lint    check style and formatting'
	@echo 'make format  correct what can be corrected'
	@echo
	@echo 'PYTHON=/path/to/python3.11 chooses the Python that .venv is made with.'

demo: .venv/.pretrain
	@echo '[demo] Pretraining on drawn people: ten minutes on two cores. Interrupt it if you like:'
	@echo '[demo] the next `make demo` goes on from the last checkpoint.'
	.venv/bin/python tools/train.py configs/pretrain/saip_demo.py \
	    --work-dir $(DEMO) --resume
	.venv/bin/python tools/export_backbone.py $(DEMO) --out $(BACKBONE)
	.venv/bin/python tools/report.py $(DEMO) --out $(REPORT)
	@echo
	@echo '[demo] Made: $(BACKBONE), a backbone for MMPose, MMDet and MMSeg,'
	@echo '[demo]       and logs and checkpoints in $(DEMO).'
	@echo '[demo] Look: open $(REPORT) in a browser, to see what was learnt.'
	@echo '[demo] Next: docs/training.md explains how to pretrain on your own photographs.'

test: .venv/.complete
	.venv/bin/python -m pytest

# What a changed line most often breaks: the method, configs, checkpoints, views.
CHECK := tests/test_style.py tests/models tests/test_plain_training.py \
    tests/training/test_config.py tests/checkpoints/test_convert.py \
    tests/training/test_hooks.py tests/training/test_optimizer.py \
    tests/data/test_people.py tests/data/test_apply_views.py \
    tests/data/test_draw_views.py tests/data/test_images.py

check: .venv/.complete
	.venv/bin/python -m pytest -q --durations=5 $(CHECK)

lint: .venv/.complete
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports

format: .venv/.complete
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

.venv/.pretrain: $(PINS)
	@$(INSTALL) pretrain

.venv/.complete: $(PINS)
	@$(INSTALL) complete
