"""Figures in the house style, for reports and calibrations; matplotlib is imported by whoever draws."""
