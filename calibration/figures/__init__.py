"""Figures of the routines, one file each, in the house style; imported only when one is drawn."""
