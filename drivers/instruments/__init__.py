"""Drivers of instruments, one file for each family; a class around one transport session each."""
