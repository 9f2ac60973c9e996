"""Data that the project may not hand out: what a test says that is skipped for want of it."""

WITHOUT_DATA = "FM_TEST_DATA is not set"
