"""What reports share: pages, tables, plots."""
