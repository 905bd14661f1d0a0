"""Learners, controllers and detectors: pure, no I/O. Import the module you need; the light ones don't pull in river."""
