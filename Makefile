# `make demo` pretrains a small SAIP, `make test` runs all tests. Both install what they
# need into .venv and can be rerun at any time.
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
	@echo '             and write a report (first installs for about 3 minutes, once;'
	@echo '             then 5 to 20 minutes)'
	@echo 'make check   test style, method, views, checkpoints, resuming (a minute)'
	@echo 'make test    run all tests (first compiles mmcv ops for 5–15 minutes, once)'
	@echo 'make lint    check style, formatting and layers'
	@echo 'make format  fix style and formatting where possible'
	@echo
	@echo 'PYTHON=/path/to/python3.11 selects the Python for .venv.'

demo: .venv/.pretrain
	@echo '[demo] Pretraining on drawn people: 5 to 20 minutes on two cores.'
	@echo '[demo] After an interruption, rerun `make demo` to resume.'
	PYTHON=.venv/bin/python tools/dist_train.sh configs/pretrain/saip_demo.py 2 \
	    --work-dir $(DEMO) --resume --cfg-options \
	    train_dataloader.batch_size=16 train_dataloader.num_workers=0
	.venv/bin/python tools/export_backbone.py $(DEMO) --out $(BACKBONE)
	.venv/bin/python tools/report.py $(DEMO) --out $(REPORT)
	@echo
	@echo '[demo] Backbone for MMPose, MMDet and MMSeg: $(BACKBONE)'
	@echo '[demo] Logs and checkpoints: $(DEMO)'
	@echo '[demo] Report: open $(REPORT) in a browser.'
	@echo '[demo] To pretrain on your own photographs, see docs/training.md.'

test: .venv/.complete
	.venv/bin/python -m pytest

# What changes break most often: the method, views, checkpoints, resuming.
CHECK := tests/test_style.py tests/test_plain_saip.py \
    tests/models tests/training/test_optimizer.py \
    tests/training/test_resuming.py tests/checkpoints/test_backbone.py \
    tests/checkpoints/test_names.py tests/checkpoints/test_loading.py \
    tests/data/test_apply_views.py tests/data/test_draw_views.py

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
