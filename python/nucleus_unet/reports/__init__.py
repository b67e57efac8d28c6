"""Shared parts of the reports: HTML pages, tables and plots."""
