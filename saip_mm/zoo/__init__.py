"""The model zoo: what is known of every config, measured or trained, and its pages."""
