"""Configuration files: read strictly with positions (yaml), then checked against models (validate).

Nothing is imported here, so that a program that reads no file pays for neither.
"""
