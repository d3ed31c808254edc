"""HTML reports with charts and tables."""
