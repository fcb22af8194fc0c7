"""Pictures and pages of what is trained; nothing of it is needed for training."""
